package tcp

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/relay"
	"github.com/skiff-containers/skiff/netns/helper/tun"
)

// maxLoops bounds the threads that carry data.
const maxLoops = 4

// startLoops starts the first loop, and its heirs.
func (p *Path) startLoops() error {
	var heirs []*relay.Loop
	for range min(runtime.NumCPU(), maxLoops) {
		l, err := relay.Start(nil)
		if err != nil {
			return err
		}
		heirs = append(heirs, l)
		p.loops = heirs
	}
	relay.Spread(heirs...)
	first, err := relay.Start(nil, heirs...)
	if err != nil {
		return err
	}
	p.loops = append([]*relay.Loop{first}, heirs...)
	return nil
}

// Serve is [tun.Device.Serve] on the thread that carries what short connections say:
// who reads a SYN, dials and lets in need not wake anybody.
func (p *Path) Serve(h tun.Handlers) error {
	l := p.loops[0]
	r := &reading{loop: l, reader: p.Device.Read(h), ended: make(chan error, 1)}
	var err error
	callErr := l.Call(func() {
		if r.packets, err = l.Add(p.Device.FD(), unix.EPOLLIN, r); err == nil {
			r.closing, err = l.Add(p.Device.Closing(), unix.EPOLLIN, r)
		}
	})
	if err = errors.Join(err, callErr); err != nil {
		return err
	}
	select {
	case err = <-r.ended:
	case <-l.Ended():
	}
	return err
}

// reading is the device on a loop.
type reading struct {
	loop             *relay.Loop
	reader           *tun.Reader
	packets, closing relay.Token
	ended            chan error
	due, over        bool
}

// Ready reads a turn of packets. Those that are left in the device are an event again;
// datagrams that were read and wait may be all there is.
func (r *reading) Ready(uint32) {
	more, err := r.reader.Turn()
	switch {
	case r.over:
	case err != nil:
		r.over = true
		r.loop.Drop(r.packets)
		r.loop.Drop(r.closing)
		if errors.Is(err, os.ErrClosed) {
			err = nil
		}
		r.ended <- err
	case more && !r.due:
		r.due = true
		r.loop.Later(func() {
			r.due = false
			r.Ready(0)
		})
	}
}
