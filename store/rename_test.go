package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// renameStage is a process of these tests: root id: renames that container for ever,
// among a few names.
const renameStage = "skiff-test-rename"

func renames() int {
	s, err := Open(os.Args[1])
	if err != nil {
		return complain(err)
	}
	c := s.byID(os.Args[2])
	fmt.Println("ready")
	for {
		if err := renameOnce(c, fmt.Sprint("name", rand.IntN(4))); err != nil && !errors.Is(err, ErrNameTaken) {
			return complain(err)
		}
	}
}

func renameOnce(c *Container, name string) error {
	lock, _, err := c.LockChange()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	r, err := c.Record()
	if err != nil || r.Name == name {
		return err
	}
	return c.Rename(r, name, Fleeting)
}

// Whenever a rename dies, the container has the name that its record says; a name that
// is left over keeps nobody from taking it.
func TestKilledRenames(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var all []*Container
	for i := range 2 {
		c, err := s.Create(record(fmt.Sprint("name", i), false), Fleeting, noFill)
		must(t, err)
		all = append(all, c)
	}
	for round := range 40 {
		var cmds []*exec.Cmd
		for _, c := range all {
			cmd := child(renameStage, s.Root, c.ID)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			out.Read(make([]byte, 8))
			cmds = append(cmds, cmd)
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // somewhere in the midst of it
		for _, cmd := range cmds {
			cmd.Process.Kill()
			cmd.Wait()
		}
		names := map[string]bool{}
		for _, c := range all {
			r, err := c.Record()
			must(t, err)
			if names[r.Name] {
				t.Fatalf("round %d: both are called %q", round, r.Name)
			}
			names[r.Name] = true
			found, err := s.Find(r.Name)
			if err != nil || found.ID != c.ID {
				t.Fatalf("round %d: %q does not lead to its container: %v", round, r.Name, err)
			}
		}
		for i := range 4 {
			name := fmt.Sprint("name", i)
			fresh, err := s.Create(record(name, false), Fleeting, noFill)
			if names[name] {
				if !errors.Is(err, ErrNameTaken) {
					t.Fatalf("round %d: the taken name %q was given away: %v", round, name, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("round %d: the free name %q cannot be had: %v", round, name, err)
			}
			gone, err := fresh.Unlink()
			must(t, err)
			must(t, gone.Delete())
		}
	}
	must(t, s.freeDeadNames())
	checkStore(t, s)
}

// What a crash has left at each step leaves the container with one name.
func TestRenameSteps(t *testing.T) {
	t.Parallel()
	steps := map[string]func(*testing.T, *Store, *Container){
		"named": func(t *testing.T, s *Store, c *Container) {
			must(t, os.Symlink(c.ID, s.path("names", "new")))
		},
		"marked": func(t *testing.T, s *Store, c *Container) {
			must(t, os.Symlink(c.ID, s.path("names", "new")))
			must(t, c.markRenamed("new"))
		},
		"recorded": func(t *testing.T, s *Store, c *Container) {
			must(t, os.Symlink(c.ID, s.path("names", "new")))
			must(t, c.markRenamed("new"))
			r, err := c.Record()
			must(t, err)
			r.Name = "new"
			must(t, c.WriteRecord(r, Fleeting))
		},
	}
	for step, die := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			c, err := s.Create(record("old", false), Fleeting, noFill)
			must(t, err)
			die(t, s, c)
			must(t, s.freeDeadNames())
			checkStore(t, s)
			r, err := c.Record()
			must(t, err)
			if found, err := s.Find(r.Name); err != nil || found.ID != c.ID {
				t.Fatalf("%q does not lead to the container: %v", r.Name, err)
			}
			must(t, renameOnce(c, "newest"))
			u, err := c.UnlinkNamed("old") // as its shim does, which knows no other name
			must(t, err)
			must(t, u.Delete())
			entries, err := os.ReadDir(filepath.Join(s.Root, "names"))
			must(t, err)
			if len(entries) != 0 {
				t.Errorf("%d names are left", len(entries))
			}
		})
	}
}
