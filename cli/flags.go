package cli

import (
	"errors"
	"strconv"

	"github.com/spf13/pflag"
)

// list is a flag that may be given several times (Docker's type "list").
type list struct{ to *[]string }

func (l list) Set(value string) error { *l.to = append(*l.to, value); return nil }
func (l list) Type() string           { return "list" }
func (l list) String() string         { return "" }

func listVar(flags *pflag.FlagSet, to *[]string, name, shorthand, usage string) {
	flags.VarP(list{to}, name, shorthand, usage)
}

// named is a text whose kind is shown in help: "bytes", "mount", "network".
type named struct {
	to   *string
	kind string
}

func (n named) Set(value string) error { *n.to = value; return nil }
func (n named) Type() string           { return n.kind }
func (n named) String() string         { return *n.to }

// namedList is a list whose elements' kind is shown in help: "ulimit", "mount".
type namedList struct {
	list
	kind string
}

func (n namedList) Type() string { return n.kind }

// optionalText tells a flag that was not given from an empty one.
type optionalText struct{ to **string }

func (o optionalText) Set(value string) error { *o.to = &value; return nil }
func (o optionalText) Type() string           { return "string" }
func (o optionalText) String() string {
	if o.to == nil || *o.to == nil {
		return ""
	}
	return **o.to
}

// optionalInt tells a flag that was not given from a zero.
type optionalInt struct{ to **int }

func (o optionalInt) Set(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil {
		return errors.New("not a whole number")
	}
	*o.to = &n
	return nil
}
func (o optionalInt) Type() string { return "int" }
func (o optionalInt) String() string {
	if o.to == nil || *o.to == nil {
		return ""
	}
	return strconv.Itoa(**o.to)
}
