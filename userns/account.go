package userns

import (
	"os"
	"os/user"
	"strconv"
)

// Account is a user as the host's accounts have it.
type Account struct {
	Name, FullName, Home string
	Group                string // "" where it has no name
}

// Caller looks up who runs this process; nil where no account has its id.
func Caller() *Account {
	uid := os.Geteuid()
	a := &Account{Name: loginName(uid), Home: os.Getenv("HOME")}
	if a.Name == "" {
		return nil
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil { // not one of a directory's
		a.FullName, a.Home = u.Name, u.HomeDir
	}
	if g, err := user.LookupGroupId(strconv.Itoa(os.Getegid())); err == nil {
		a.Group = g.Name
	}
	return a
}
