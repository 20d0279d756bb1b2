package escape

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The keys of the session that starts a container are not its own, with the calls for
// keys forbidden and without.
func TestKeysOfTheSessionStayOutside(t *testing.T) {
	t.Parallel()
	// The session is this thread's, and what it forks inherits it.
	runtime.LockOSThread()
	if _, err := unix.KeyctlJoinSessionKeyring("escape"); err != nil {
		t.Skip("no session keyring can be had here:", err)
	}
	key := fmt.Sprintf("escape-%d", os.Getpid())
	if _, err := unix.AddKey("user", key, []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		t.Skip("no key can be added here:", err)
	}
	if found := attacked(t, []string{"--security-opt", "seccomp=unconfined"}, "key", key); !strings.Contains(found, "search: required key not available") {
		t.Error("without a filter:", found)
	}
	if found := attacked(t, nil, "key", key); !strings.Contains(found, "search: operation not permitted") && !strings.Contains(found, "search: function not implemented") {
		t.Error(found)
	}
	name := background(t, []string{"--security-opt", "seccomp=unconfined"}, "sleep")
	o := skiff("exec", name, "/tool", attacker, "key", key)
	if !strings.Contains(o.all, "search: required key not available") {
		t.Error("exec:", o.all)
	}
	// Containers do not share one either.
	if o := skiff("exec", name, "/tool", attacker, "key", key, "add"); !strings.Contains(o.all, "added") {
		t.Error(o.all)
	}
	if found := attacked(t, []string{"--security-opt", "seccomp=unconfined"}, "key", key); !strings.Contains(found, "search: required key not available") {
		t.Error("another container:", found)
	}
}

func searchKey(args []string) error {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", args[0], 0)
	if err == nil {
		fmt.Println("search: found", id)
	} else {
		fmt.Println("search:", err)
	}
	if len(args) > 1 {
		if _, err := unix.AddKey("user", args[0], []byte("mine"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
			return errors.Join(errors.New("adding a key"), err)
		}
		fmt.Println("added")
	}
	return nil
}
