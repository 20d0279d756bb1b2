package link

import (
	"fmt"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/firewall"
	"github.com/skiff-containers/skiff/netns/helper/space"
)

// BenchmarkAttach is what each start pays for its interface.
func BenchmarkAttach(b *testing.B) {
	l := newLab(b)
	n := l.ensure(network("front", 20, nil))
	i := 1
	for b.Loop() {
		b.StopTimer()
		i++
		c, e := netlab.Space(b), endpoint(n, fmt.Sprint("c", i), i, 0)
		m := memberOf(n, e)
		b.StartTimer()
		l.must(l.links.Attach(c, m))
		b.StopTimer()
		l.must(l.links.Detach(&e))
		b.StartTimer()
	}
}

// BenchmarkAdmit is what it pays for the check of its sources.
func BenchmarkAdmit(b *testing.B) {
	l := newLab(b)
	n := network("front", 20, nil)
	i := 1
	for b.Loop() {
		i++
		e := endpoint(n, fmt.Sprint("c", i), i, 0)
		l.must(l.fire.Admit(Port(&e), source(&e)))
	}
}

// BenchmarkNetwork is what the first container in a network pays in addition.
func BenchmarkNetwork(b *testing.B) {
	l := newLab(b)
	i := 0
	for b.Loop() {
		i++
		n := network(fmt.Sprint("n", i), 20+i%200, nil)
		l.ensure(n)
		b.StopTimer()
		l.must(l.links.Forget(n))
		l.must(l.fire.Forget(Bridge(n)))
		b.StartTimer()
	}
}

// BenchmarkSetup is what a new helper needs before its first network: in a new
// namespace, and in one that another helper left.
func BenchmarkSetup(b *testing.B) {
	setup := func(n *space.Space) {
		f, err := firewall.Setup(n, firewall.Config{TUN: "skiff0", TProxyPort: 7777})
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			n := netlab.Space(b)
			b.StartTimer()
			setup(n)
		}
	})
	b.Run("again", func(b *testing.B) {
		n := netlab.Space(b)
		for b.Loop() {
			setup(n)
		}
	})
	b.Run("links", func(b *testing.B) {
		n := netlab.Space(b)
		for b.Loop() {
			links, err := New(n)
			if err != nil {
				b.Fatal(err)
			}
			links.Close()
		}
	})
}
