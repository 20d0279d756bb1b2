package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// filters is the flag --filter: name=value, as often as wanted.
type filters struct {
	to    *map[string][]string
	known []string
}

func (f filters) Set(value string) error {
	if value == "" {
		return nil
	}
	name, wanted, found := strings.Cut(value, "=")
	if !found {
		return errors.New("bad format of filter (expected name=value)")
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if !slices.Contains(f.known, name) {
		return &unknownFilter{name, f.known}
	}
	if *f.to == nil {
		*f.to = map[string][]string{}
	}
	(*f.to)[name] = append((*f.to)[name], strings.TrimSpace(wanted))
	return nil
}
func (f filters) Type() string   { return "filter" }
func (f filters) String() string { return "" }

// unknownFilter is one that a list does not have. As with docker it is no fault of the
// command line's form, but of the request.
type unknownFilter struct {
	name  string
	known []string
}

func (u *unknownFilter) Error() string {
	return fmt.Sprintf("invalid filter %q: skiff knows %s", u.name, strings.Join(u.known, ", "))
}
