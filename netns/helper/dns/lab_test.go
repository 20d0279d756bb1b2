package dns

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// patience is for what comes within milliseconds, on a machine that is busy.
const patience = time.Minute

// lab is N with a server in it, on the gateway of each container that is connected.
type lab struct {
	*Server
	t       testing.TB
	members *member.Directory
	resolv  string // path
	n       int
}

func newLab(t testing.TB, nameservers ...string) *lab {
	t.Helper()
	l := &lab{t: t, members: &member.Directory{}, resolv: filepath.Join(t.TempDir(), "resolv.conf")}
	l.setResolv(nameservers...)
	l.Server = Start(Config{N: netlab.Space(t), Directory: l.members, ResolvConf: l.resolv})
	t.Cleanup(l.Close)
	return l
}

// setResolv replaces resolv.conf: addresses, or whole lines.
func (l *lab) setResolv(nameservers ...string) {
	l.t.Helper()
	var b strings.Builder
	for _, s := range nameservers {
		if !strings.Contains(s, " ") {
			s = "nameserver " + s
		}
		b.WriteString(s + "\n")
	}
	check(l.t, os.WriteFile(l.resolv+".new", []byte(b.String()), 0o644))
	check(l.t, os.Rename(l.resolv+".new", l.resolv))
}

// network is one of the lab's, with all subnets that containers are given.
func network(name string, internal bool) *store.Network {
	return &store.Network{Name: name, ID: "id of " + name, Internal: internal, Subnets: []store.Subnet{
		{Subnet: netip.MustParsePrefix("10.90.0.0/16")}, {Subnet: netip.MustParsePrefix("fd00:90::/32")},
	}}
}

// put attaches a container without an inside. Addresses are "10.90.1.2" or, with IPv6, "10.90.1.2,fd00:90:1::2".
func (l *lab) put(name string, change func(a *store.Attachment), places ...string) *member.Member {
	l.t.Helper()
	m := &member.Member{Networks: map[string]*store.Network{}, Pending: &atomic.Int64{}, Attachment: &store.Attachment{
		Container: fmt.Sprintf("%012x%052d", 0xabcdef0000+len(l.members.All()), 7), Name: name,
	}}
	for _, place := range places {
		net, addrs, _ := strings.Cut(place, "=")
		name, internal := strings.CutSuffix(net, "!")
		m.Networks[name] = network(name, internal)
		e := store.Endpoint{Network: name, NetworkID: "id of " + name}
		for text := range strings.SplitSeq(addrs, ",") {
			if addr := netip.MustParseAddr(text); addr.Is4() {
				e.IPv4 = netip.PrefixFrom(addr, 24)
			} else {
				e.IPv6 = netip.PrefixFrom(addr, 64)
			}
		}
		m.Attachment.Endpoints = append(m.Attachment.Endpoints, e)
	}
	if change != nil {
		change(m.Attachment)
	}
	l.members.Put(m)
	return m
}

// box is a container with an inside.
type box struct {
	*space.Space
	t       testing.TB
	gateway netip.Addr // where the server listens
	addr    netip.Addr
	*member.Member
}

// connect attaches a container that can ask, at 10.90.K.2 and fd00:90:K::2. Net is a name, with "!" an internal network's.
func (l *lab) connect(name, net string, change func(a *store.Attachment)) *box {
	l.t.Helper()
	l.n++
	k := 100 + l.n
	b := &box{t: l.t, gateway: netip.MustParseAddr(fmt.Sprintf("10.90.%d.1", k)), addr: netip.MustParseAddr(fmt.Sprintf("10.90.%d.2", k))}
	six := fmt.Sprintf("fd00:90:%d::", k)
	b.Space = netlab.Container(l.t, l.Server.n, fmt.Sprintf("v%d", k), []string{b.addr.String() + "/24", six + "2/64"}, []string{b.gateway.String() + "/24", six + "1/64"})
	b.Member = l.put(name, change, fmt.Sprintf("%s=%s,%s2", net, b.addr, six))
	for _, addr := range []string{b.gateway.String(), six + "1"} {
		check(l.t, l.Listen(netip.MustParseAddr(addr)))
	}
	return b
}

// dial opens a connection from the container to the server.
func (b *box) dial(network string) net.Conn {
	b.t.Helper()
	c, err := b.tryDial(network)
	check(b.t, err)
	return c
}

func (b *box) tryDial(network string) (c net.Conn, err error) {
	err = b.Do(func() error {
		c, err = net.Dial(network, netip.AddrPortFrom(b.gateway, 53).String())
		return err
	})
	if err == nil {
		b.t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// question packs a query.
func question(t testing.TB, id uint16, name string, kind dnsmessage.Type, edns int) []byte {
	t.Helper()
	wire, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	check(t, err)
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: wire, Type: kind, Class: dnsmessage.ClassINET}},
	}
	if edns > 0 {
		var h dnsmessage.ResourceHeader
		check(t, h.SetEDNS0(edns, 0, true))
		m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{}})
	}
	raw, err := m.Pack()
	check(t, err)
	return raw
}

// askRaw sends a query and reads one answer. Network is "udp" or "tcp".
func (b *box) askRaw(network string, raw []byte) dnsmessage.Message {
	b.t.Helper()
	c := b.dial(network)
	defer c.Close()
	buf := make([]byte, 65536)
	var err error
	n := 0
	if network == "tcp" {
		check(b.t, writeFrame(c, raw))
		buf, err = readFrame(c, 65535)
		n = len(buf)
	} else {
		_, err = c.Write(raw)
		check(b.t, err)
		n, err = c.Read(buf)
	}
	check(b.t, err)
	var m dnsmessage.Message
	if err := m.Unpack(buf[:n]); err != nil {
		b.t.Fatalf("the answer %x: %v", buf[:n], err)
	}
	if !m.Response || m.ID != binary.BigEndian.Uint16(raw) {
		b.t.Fatalf("not an answer to %d: %v", binary.BigEndian.Uint16(raw), m.GoString())
	}
	return m
}

func (b *box) ask(name string, kind dnsmessage.Type) dnsmessage.Message {
	b.t.Helper()
	return b.askRaw("udp", question(b.t, 4711, name, kind, 0))
}

// answers are the records of an answer in words, or its code.
func answers(m dnsmessage.Message) string {
	if m.RCode != dnsmessage.RCodeSuccess {
		return strings.TrimPrefix(m.RCode.String(), "RCode")
	}
	var all []string
	for _, r := range m.Answers {
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			all = append(all, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			all = append(all, netip.AddrFrom16(body.AAAA).String())
		case *dnsmessage.PTRResource:
			all = append(all, body.PTR.String())
		default:
			all = append(all, r.Header.Type.String())
		}
	}
	return strings.Join(all, " ")
}

// want asks for addresses of IPv4 and compares.
func (b *box) want(name, want string) {
	b.t.Helper()
	if got := answers(b.ask(name, dnsmessage.TypeA)); got != want {
		b.t.Errorf("%s is %q, want %q", name, got, want)
	}
}

// upstream is a name server on the host, or where s is; each query goes to answer,
// and what that returns goes back. It counts what it was asked.
type fake struct {
	asked, streamed atomic.Int64
}

func serveFake(t testing.TB, s *space.Space, addr string, answer func(q dnsmessage.Message, streamed bool) [][]byte) *fake {
	t.Helper()
	f := &fake{}
	var udp net.PacketConn
	var tcp net.Listener
	at := net.JoinHostPort(addr, "53")
	listen := func() (err error) {
		if udp, err = net.ListenPacket("udp", at); err == nil {
			tcp, err = net.Listen("tcp", at)
		}
		return err
	}
	if s != nil {
		check(t, s.Do(listen))
	} else {
		check(t, listen())
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			f.asked.Add(1)
			go func() {
				for _, a := range answer(q, false) {
					udp.WriteTo(a, from)
				}
			}()
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				raw, err := readFrame(c, 65535)
				var q dnsmessage.Message
				if err != nil || q.Unpack(raw) != nil {
					return
				}
				f.asked.Add(1)
				f.streamed.Add(1)
				for _, a := range answer(q, true) {
					writeFrame(c, a)
				}
			}()
		}
	}()
	return f
}

// address is an answer with one address of IPv4, or where there is none, a code.
func address(q dnsmessage.Message, code dnsmessage.RCode, addrs ...string) []byte {
	a := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true, RCode: code}, Questions: q.Questions}
	for _, addr := range addrs {
		a.Answers = append(a.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()},
		})
	}
	raw, err := a.Pack()
	if err != nil {
		panic(err)
	}
	return raw
}

// always answers every query with one address.
func always(addr string) func(dnsmessage.Message, bool) [][]byte {
	return func(q dnsmessage.Message, _ bool) [][]byte { return [][]byte{address(q, 0, addr)} }
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
