package link

import (
	"fmt"
	"testing"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/vishvananda/netlink"
)

// Interfaces come and go while they are listed: the kernel says then that what it tells
// may be incomplete.
func TestListWhileTheyChange(t *testing.T) {
	l := newLab(t)
	l.must(l.n.Do(func() error {
		for i := range 60 { // more than one message of the kernel holds
			if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprint("d", i)}}); err != nil {
				return err
			}
		}
		return nil
	}))
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- l.n.Do(func() error {
			come := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "come"}}
			for {
				select {
				case <-stop:
					return nil
				default:
				}
				if err := netlink.LinkAdd(come); err != nil {
					return err
				}
				if err := netlink.LinkDel(come); err != nil {
					return err
				}
			}
		})
	}()
	second, err := space.Open(l.n.File())
	l.must(err)
	t.Cleanup(second.Close)
	links, err := New(second)
	l.must(err)
	t.Cleanup(links.Close)
	for range 300 {
		names, err := links.Interfaces()
		if err != nil {
			t.Fatal(err)
		}
		if len(names) < 60 {
			t.Fatalf("%d interfaces: %v", len(names), names)
		}
	}
	close(stop)
	l.must(<-ended)
}
