// Package pull reads plain JSON without knowing its types: the caller walks through the
// text and takes what it expects. It exists for the start of a container, as encoding/json
// spends a third of a millisecond and a tenth of a megabyte, in each shim, on
// learning the types of a config, and for the list of many, as it takes three times as
// long for a record.
//
// It is not for all of JSON. Whatever is unusual ends the reading by [Text.OK] being
// false: a name that the caller does not know, a name that comes twice, a fraction. Then
// encoding/json has the word.
package pull

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Text is JSON that is being read. After the first thing that it does not take,
// everything is empty.
type Text struct {
	rest string
	bad  bool
}

// Read begins to read. Strings that are taken are parts of one copy of all data.
func Read(data []byte) *Text { return &Text{rest: string(data)} }

// OK tells whether all of the text was taken. It must be asked when all was read.
func (t *Text) OK() bool { return t.peek() == 0 && !t.bad && len(t.rest) == 0 }

// Refuse says that the caller does not take what comes.
func (t *Text) Refuse() { t.bad, t.rest = true, "" }

// peek skips white space and returns what follows, or 0 at the end.
func (t *Text) peek() byte {
	for i := range len(t.rest) {
		if b := t.rest[i]; b != ' ' && b != '\n' && b != '\t' && b != '\r' {
			t.rest = t.rest[i:]
			return b
		}
	}
	t.rest = ""
	return 0
}

// take passes over one byte, and tells whether it was there.
func (t *Text) take(b byte) bool {
	if t.peek() != b || b == 0 {
		return false
	}
	t.rest = t.rest[1:]
	return true
}

// list reads what stands between two brackets.
func (t *Text) list(open, end byte, one func()) {
	if !t.take(open) {
		t.Refuse()
		return
	}
	if t.take(end) {
		return
	}
	for {
		one()
		switch {
		case t.bad || t.take(end):
			return
		case !t.take(','):
			t.Refuse()
			return
		}
	}
}

// Object reads an object. The function reads the value of one name, or refuses.
func (t *Text) Object(field func(name string)) {
	var room [64]string // an object of more names is rare
	seen := room[:0]
	t.list('{', '}', func() {
		name := t.String()
		if t.bad || slices.Contains(seen, name) || !t.take(':') {
			t.Refuse()
			return
		}
		seen = append(seen, name)
		field(name)
	})
}

// Array reads an array. The function reads one element.
func (t *Text) Array(one func()) { t.list('[', ']', one) }

// String reads a string.
func (t *Text) String() string {
	if t.peek() != '"' {
		t.Refuse()
		return ""
	}
	plain := true
	for i := 1; i < len(t.rest); i++ {
		switch b := t.rest[i]; {
		case b == '\\':
			plain = false
			i++
		case b == '"':
			token := t.rest[:i+1]
			t.rest = t.rest[i+1:]
			return t.unquote(token, plain)
		case b < ' ' || b >= utf8.RuneSelf:
			plain = false
		}
	}
	t.Refuse()
	return ""
}

func (t *Text) unquote(token string, plain bool) string {
	if plain {
		return token[1 : len(token)-1]
	}
	var s string
	if json.Unmarshal([]byte(token), &s) != nil {
		t.Refuse()
	}
	return s
}

// Bool reads true or false.
func (t *Text) Bool() bool {
	switch t.word() {
	case "true":
		return true
	case "false":
	default:
		t.Refuse()
	}
	return false
}

// word reads what is neither string nor bracket.
func (t *Text) word() string {
	t.peek()
	n := 0
	for n < len(t.rest) && (t.rest[n] >= '0' && t.rest[n] <= '9' || t.rest[n] >= 'a' && t.rest[n] <= 'z' || t.rest[n] == '-') {
		n++
	}
	word := t.rest[:n]
	t.rest = t.rest[n:]
	return word
}

// Uint reads a whole number of so many bits, without a sign.
func (t *Text) Uint(bits int) uint64 {
	word := t.word()
	n, err := strconv.ParseUint(word, 10, bits)
	if err != nil || len(word) > 1 && word[0] == '0' {
		t.Refuse()
		return 0
	}
	return n
}

// Int reads a whole number of 64 bits.
func (t *Text) Int() int64 {
	word := t.word()
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != word {
		t.Refuse()
		return 0
	}
	return n
}

// Null passes over a null, and tells whether there was one.
func (t *Text) Null() bool {
	if t.peek() != 'n' {
		return false
	}
	if t.word() != "null" {
		t.Refuse()
	}
	return true
}

// Strings reads an array of strings.
func (t *Text) Strings() []string { return List(t, t.String) }

// Map reads an object of strings.
func (t *Text) Map() map[string]string {
	all := map[string]string{}
	t.Object(func(name string) { all[name] = t.String() })
	return all
}

// List reads an array whose elements are read by one.
func List[T any](t *Text, one func() T) []T {
	all := []T{}
	t.Array(func() { all = append(all, one()) })
	return all
}
