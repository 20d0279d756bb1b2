package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// refusal is a flag of docker's or podman's that skiff cannot serve: it is known,
// so that help lists it, and refused with the reason, rather than swallowed.
type refusal struct {
	name string
	kind string // its type as help shows it
	why  string // "the processor count of a container is set on Windows only"
	hint string // what would help, or empty
}

func (r refusal) Set(string) error { return &refusedFlag{r} }
func (r refusal) Type() string     { return r.kind }
func (r refusal) String() string   { return "" }

// Reason tells documentation why the flag is refused.
func (r refusal) Reason() string { return r.why }

// fixed is a flag that says how things are anyway, and is refused with any other value.
type fixed struct {
	is    string
	other refusal
}

func (f fixed) Set(value string) error {
	if f.other.kind == "bool" {
		asked, err := strconv.ParseBool(value)
		if err != nil {
			return err
		}
		value = strconv.FormatBool(asked)
	}
	if value != f.is {
		return &refusedFlag{f.other}
	}
	return nil
}
func (f fixed) Type() string   { return f.other.kind }
func (f fixed) String() string { return f.is }

// fix makes a flag that can only say how things are.
func fix(flags *pflag.FlagSet, name string, f fixed, usage string) {
	flags.Var(f, name, usage)
	if f.other.kind == "bool" {
		flags.Lookup(name).NoOptDefVal = "true"
	}
}

// refusedFlag is the error of a flag that was used all the same.
type refusedFlag struct{ refusal }

func (r *refusedFlag) Error() string { return fmt.Sprintf("--%s cannot be used: %s", r.name, r.why) }

// refuse makes a flag that is refused whatever its value.
func refuse(flags *pflag.FlagSet, r refusal, usage string) {
	flags.Var(r, r.name, usage)
	if r.kind == "bool" {
		flags.Lookup(r.name).NoOptDefVal = "true"
	}
}

// refuseHidden is refuse for one that would only lengthen help.
func refuseHidden(flags *pflag.FlagSet, name, kind, why, hint string) {
	refuse(flags, refusal{name, kind, why, hint}, why)
	flags.Lookup(name).Hidden = true
}

// refusedError puts a refused flag's reason in place of pflag's words, nil where err
// is about something else.
func refusedError(err error) error {
	var r *refusedFlag
	if !errors.As(err, &r) {
		return nil
	}
	return launching(codeSkiff, &hinted{r, r.hint})
}

// completeRefused offers no words after flags that would be refused with any.
func completeRefused(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, refused := f.Value.(refusal); refused && f.Value.Type() != "bool" {
			completeFlag(cmd, f.Name)
		}
	})
}
