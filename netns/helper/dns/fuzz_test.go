package dns

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/net/dns/dnsmessage"
)

// FuzzQuery: whatever a container sends, the answer is one to it, of the size that it takes.
func FuzzQuery(f *testing.F) {
	f.Add(question(f, 1, "web", dnsmessage.TypeA, 0), false)
	f.Add(question(f, 2, "web.one", dnsmessage.TypeAAAA, 1232), true)
	f.Add(question(f, 3, "2.1.90.10.in-addr.arpa", dnsmessage.TypePTR, 0), false)
	f.Add(question(f, 3, "host.docker.internal", dnsmessage.TypeALL, 65535), false)
	f.Add(question(f, 3, "1.2.3.4.5.6.7.8.ip6.arpa", dnsmessage.TypePTR, 0), false)
	f.Add([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}, false)
	members := &member.Directory{}
	asker := netip.MustParseAddr("10.90.1.1")
	for i, name := range []string{"asker", "web", "other"} {
		e := store.Endpoint{Network: "one", NetworkID: "1", IPv4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 90, 1, byte(1 + i)}), 24), Aliases: []string{"svc"}}
		members.Put(&member.Member{Attachment: &store.Attachment{Container: name, Name: name, Endpoints: []store.Endpoint{e}}, Networks: map[string]*store.Network{"one": {Name: "one"}}})
	}
	s := Start(Config{Directory: members, ResolvConf: "/nonexistent"})
	f.Cleanup(s.Close)
	f.Fuzz(func(t *testing.T, raw []byte, streamed bool) {
		answer, m, foreign := s.begin(asker, raw, streamed)
		if m != nil && foreign != nil {
			answer = s.ask(m, foreign, streamed)
		}
		if answer == nil {
			return
		}
		if len(answer) > maxTCP || !streamed && len(answer) > maxUDP {
			t.Fatalf("an answer of %d bytes", len(answer))
		}
		if answer[2]&0x80 == 0 || binary.BigEndian.Uint16(answer) != binary.BigEndian.Uint16(raw) {
			t.Fatalf("%x is no answer to %x", answer, raw)
		}
		var message dnsmessage.Message
		if err := message.Unpack(answer); err != nil {
			t.Fatalf("the answer %x to %x: %v", answer, raw, err)
		}
	})
}

// FuzzAnswer: whatever a server sends, only what has our id and question is passed on.
func FuzzAnswer(f *testing.F) {
	raw := question(f, 7, "Example.org", dnsmessage.TypeA, 1232)
	q, _, err := parse(raw)
	check(f, err)
	answer := bytes.Clone(raw)
	answer[2] |= 0x80
	f.Add(answer)
	f.Add(answer[:20])
	f.Add([]byte{0, 7, 0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, message []byte) {
		if !q.answeredBy(message, 7) {
			return
		}
		short := q.truncated(message)
		var m dnsmessage.Message
		if err := m.Unpack(short); err != nil || !m.Truncated || m.ID != 7 || len(m.Questions) != 1 || len(m.Answers) != 0 {
			t.Fatalf("%x was cut to %x: %v", message, short, err)
		}
		if code := codeOf(message); code == dnsmessage.RCodeSuccess || code == dnsmessage.RCodeNameError {
			var p dnsmessage.Parser
			if _, err := p.Start(message); err != nil {
				t.Fatal(err)
			}
			question, err := p.Question()
			if err != nil || question.Type != dnsmessage.TypeA || !bytes.EqualFold([]byte(question.Name.String()), []byte("example.org.")) {
				t.Fatalf("%x was taken for an answer", message)
			}
		}
	})
}

// FuzzFrame: lengths are believed up to the limit only.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		for {
			message, err := readFrame(r, maxQuery)
			if err != nil {
				return
			}
			if len(message) < headerSize || len(message) > maxQuery {
				t.Fatalf("a message of %d bytes", len(message))
			}
		}
	})
}

// FuzzReverse: what is read as an address is the name of just that one.
func FuzzReverse(f *testing.F) {
	f.Add("2.1.90.10.in-addr.arpa")
	f.Add("0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa")
	f.Fuzz(func(t *testing.T, name string) {
		if addr, ok := parseReverse(name); ok && !addr.IsValid() {
			t.Fatalf("%q is read as no address", name)
		}
	})
}
