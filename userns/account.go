package userns

import (
	"fmt"
	"os/user"
)

// Account is the caller as the host's accounts have it.
type Account struct {
	Name, FullName, Home string
	Group                string // "" where it has no name
}

// Caller looks up who runs this process.
func Caller() (*Account, error) {
	u, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("looking up the caller: %w", err)
	}
	a := &Account{Name: u.Username, FullName: u.Name, Home: u.HomeDir}
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		a.Group = g.Name
	}
	return a, nil
}
