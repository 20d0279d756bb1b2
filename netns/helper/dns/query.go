package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Sizes of messages, in bytes.
const (
	headerSize = 12
	plainSize  = 512  // of an answer by UDP, to who does not say more (RFC 1035, 2.3.4)
	ednsSize   = 1232 // what we say that we take
	maxUDP     = 4096 // of an answer by UDP, whatever the asker says
	maxQuery   = 4096
	maxTCP     = 65535
)

// Types that dnsmessage has no name for: transfers of zones (RFC 1995, RFC 5936).
const (
	typeIXFR dnsmessage.Type = 251
	typeAXFR dnsmessage.Type = 252
)

// rcodeBadVersion is for EDNS that we do not know (RFC 6891, 6.1.3).
const rcodeBadVersion dnsmessage.RCode = 16

// query is a question that a container asks.
type query struct {
	raw      []byte // the message as it came
	header   dnsmessage.Header
	question dnsmessage.Question
	asked    []byte // the question in raw
	name     string // lower case, without the last dot
	edns     bool
	size     int // of an answer that the asker takes
}

var (
	// errNoQuery: this is nothing that is ever answered.
	errNoQuery = errors.New("not a query")
	// errDone: there is no more of this section.
	errDone = dnsmessage.ErrSectionDone
)

// parse reads a query. With a code other than success it is to be answered so, and
// q is filled as far as it was understood; with an error not at all.
func parse(raw []byte) (q query, code dnsmessage.RCode, err error) {
	var p dnsmessage.Parser
	q.raw, q.size = raw, plainSize
	if q.header, err = p.Start(raw); err != nil || q.header.Response {
		return q, 0, errNoQuery
	}
	if q.header.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented, nil
	}
	end := questionEnd(raw)
	question, err := p.Question()
	if err != nil || end == 0 || binary.BigEndian.Uint16(raw[4:]) != 1 {
		return q, dnsmessage.RCodeFormatError, nil
	}
	q.question, q.asked = question, raw[headerSize:end]
	q.name = strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
	if code := q.additional(&p); code != dnsmessage.RCodeSuccess {
		return q, code, nil
	}
	if question.Class != dnsmessage.ClassINET || question.Type == typeAXFR || question.Type == typeIXFR {
		return q, dnsmessage.RCodeRefused, nil
	}
	return q, dnsmessage.RCodeSuccess, nil
}

// questionEnd is where the first question ends; 0 where it is none. It has no
// pointers: there is nothing yet that they could point to.
func questionEnd(raw []byte) int {
	at := headerSize
	for at < len(raw) && raw[at] != 0 {
		if raw[at] > 63 || at > headerSize+255 {
			return 0
		}
		at += 1 + int(raw[at])
	}
	if at+5 > len(raw) {
		return 0
	}
	return at + 5
}

// additional looks for EDNS (RFC 6891, 6.1) behind the question.
func (q *query) additional(p *dnsmessage.Parser) dnsmessage.RCode {
	if p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return dnsmessage.RCodeFormatError
	}
	version := uint32(0)
	for {
		h, err := p.AdditionalHeader()
		if errors.Is(err, errDone) {
			break
		}
		if err != nil || p.SkipAdditional() != nil {
			return dnsmessage.RCodeFormatError
		}
		if h.Type == dnsmessage.TypeOPT {
			if q.edns {
				return dnsmessage.RCodeFormatError
			}
			q.edns, version = true, h.TTL>>16&0xff
			q.size = min(max(int(h.Class), plainSize), maxUDP)
		}
	}
	if version != 0 {
		return rcodeBadVersion
	}
	return dnsmessage.RCodeSuccess
}

// answeredBy tells whether a message answers the query, which was sent with an id:
// the rest of it is for the asker to judge. Servers that understand nothing may
// leave the question out when they say so.
func (q *query) answeredBy(message []byte, id uint16) bool {
	if len(message) < headerSize || binary.BigEndian.Uint16(message) != id || message[2]&0x80 == 0 || message[2]&0x78 != 0 {
		return false
	}
	switch binary.BigEndian.Uint16(message[4:]) {
	case 0:
		return codeOf(message) != dnsmessage.RCodeSuccess && codeOf(message) != dnsmessage.RCodeNameError
	case 1:
	default:
		return false
	}
	message = message[headerSize:]
	if len(message) < len(q.asked) {
		return false
	}
	// Type and class are the last four bytes. EqualFold can be used on a name in the
	// message: its lengths are below the letters.
	name, rest := q.asked[:len(q.asked)-4], q.asked[len(q.asked)-4:]
	return equalFold(message[:len(name)], name) && bytes.Equal(message[len(name):len(q.asked)], rest)
}

// equalFold compares without regard to the case of ASCII's letters, and of no others.
func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func codeOf(message []byte) dnsmessage.RCode { return dnsmessage.RCode(message[3] & 15) }

// truncated is an answer without its records, which says that TCP has them.
func (q *query) truncated(message []byte) []byte {
	short := append(bytes.Clone(message[:headerSize]), q.asked...)
	short[2] |= 2
	clear(short[4:headerSize])
	short[5] = 1
	return short
}
