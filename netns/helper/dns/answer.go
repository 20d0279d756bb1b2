package dns

import (
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// ttl is for how long a name of ours may be believed: not at all, as it goes with its
// container and an address is given to the next one.
const ttl = 0

// recordSize is that of an address of IPv6, whose name is a pointer: no record of an address is larger.
const recordSize = 28

// records are what is answered.
type records struct {
	addrs []netip.Addr // of the family that was asked for
	names []dnsmessage.Name
}

// reply makes an answer of at most limit bytes: as many records as there is room
// for, with the sign for "ask by TCP" where some are missing.
func (q *query) reply(code dnsmessage.RCode, r records, limit int) []byte {
	n := max(len(r.addrs), len(r.names))
	for {
		few := records{r.addrs[:min(n, len(r.addrs))], r.names[:min(n, len(r.names))]}
		cut := len(few.addrs) < len(r.addrs) || len(few.names) < len(r.names)
		message, err := q.build(code, few, cut)
		if err == nil && len(message) <= limit {
			return message
		}
		if n == 0 {
			return nil
		}
		n = max(n-1-max(len(message)-limit, 0)/recordSize, 0)
	}
}

func (q *query) build(code dnsmessage.RCode, r records, cut bool) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, plainSize), dnsmessage.Header{
		ID:                 q.header.ID,
		Response:           true,
		OpCode:             q.header.OpCode,
		Authoritative:      code == dnsmessage.RCodeSuccess || code == dnsmessage.RCodeNameError,
		Truncated:          cut,
		RecursionDesired:   q.header.RecursionDesired,
		RecursionAvailable: true,
		CheckingDisabled:   q.header.CheckingDisabled,
		RCode:              code & 15,
	})
	b.EnableCompression()
	if q.asked != nil {
		if err := b.StartQuestions(); err != nil {
			return nil, err
		}
		if err := b.Question(q.question); err != nil {
			return nil, err
		}
	}
	if err := q.buildAnswers(&b, r); err != nil {
		return nil, err
	}
	if q.edns {
		if err := b.StartAdditionals(); err != nil {
			return nil, err
		}
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(ednsSize, code, false); err != nil {
			return nil, err
		}
		if err := b.OPTResource(h, dnsmessage.OPTResource{}); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

func (q *query) buildAnswers(b *dnsmessage.Builder, r records) error {
	if len(r.addrs)+len(r.names) == 0 {
		return nil
	}
	if err := b.StartAnswers(); err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET, TTL: ttl}
	for _, addr := range r.addrs {
		var err error
		if addr.Is4() {
			err = b.AResource(h, dnsmessage.AResource{A: addr.As4()})
		} else {
			err = b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: addr.As16()})
		}
		if err != nil {
			return err
		}
	}
	for _, name := range r.names {
		if err := b.PTRResource(h, dnsmessage.PTRResource{PTR: name}); err != nil {
			return err
		}
	}
	return nil
}
