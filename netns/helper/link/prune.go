package link

import (
	"fmt"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"github.com/vishvananda/netlink"
)

// Prune removes those interfaces of a container that are of no endpoint of its any
// longer: it was disconnected while no helper was there to see it.
func (l *Links) Prune(container *space.Space, m *member.Member) error {
	wanted := func(fits func(*store.Endpoint) bool) bool {
		return slices.ContainsFunc(m.Attachment.Endpoints, func(e store.Endpoint) bool { return fits(&e) })
	}
	err := l.n.Do(func() error {
		peer, err := netlink.GetNetNsIdByFd(int(container.File().Fd()))
		if err != nil || peer < 0 {
			return err // none of N's interfaces leads there
		}
		found, err := list()
		if err != nil {
			return err
		}
		for _, f := range found {
			a := f.Attrs()
			if f.Type() == "veth" && a.NetNsID == peer && strings.HasPrefix(a.Name, prefixPort) && !wanted(func(e *store.Endpoint) bool { return Port(e) == a.Name }) {
				if err := netlink.LinkDel(f); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = container.Do(func() error {
			found, err := list()
			if err != nil {
				return err
			}
			for _, f := range found {
				a := f.Attrs()
				// One that lies on an interface of another namespace is not of the container's own making.
				if f.Type() == "macvlan" && a.NetNsID >= 0 && !wanted(func(e *store.Endpoint) bool { return e.Interface == a.Name }) {
					if err := netlink.LinkDel(f); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("removing interfaces of networks that were left: %w", err)
	}
	return nil
}
