package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The processes of these tests, by argv[0].
const (
	churnStage  = "skiff-test-churn"  // root: makes, removes and sweeps until it is killed
	shimStage   = "skiff-test-shim"   // root id: lives a shim's life in a hurry
	holdStage   = "skiff-test-hold"   // does nothing until it is killed
	createStage = "skiff-test-create" // root name: makes one container once stdin is closed
)

func child(args ...string) *exec.Cmd {
	return &exec.Cmd{Path: "/proc/self/exe", Args: args, Stderr: os.Stderr}
}

func record(name string, autoRemove bool) *Record {
	return &Record{ID: NewID(), Name: name, HostConfig: HostConfig{AutoRemove: autoRemove}}
}

func noFill(string) error { return nil }

// hold stops dying with its parent once that says so.
func hold() int {
	fmt.Println("ready")
	if n, _ := os.Stdin.Read(make([]byte, 1)); n == 1 {
		unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	}
	unix.Pause()
	return 0
}

func churn() int {
	s, err := Open(os.Args[1])
	if err != nil {
		return complain(err)
	}
	for {
		r := record([]string{"anna", "bert", "carl"}[rand.IntN(3)], rand.IntN(2) == 0)
		c, err := s.Create(r, Durability(rand.IntN(4) == 0), noFill)
		if err != nil && !errors.Is(err, ErrNameTaken) {
			return complain(err)
		}
		if errors.Is(err, ErrNameTaken) {
			if c, err = s.Find(r.Name); errors.Is(err, ErrNoContainer) {
				continue
			} else if err != nil {
				return complain(err)
			}
		}
		if _, err := c.State(); err != nil && !errors.Is(err, ErrNoContainer) {
			return complain(err)
		}
		u, err := c.Unlink()
		if errors.Is(err, ErrNoContainer) {
			continue
		}
		if err == nil && rand.IntN(3) > 0 {
			err = u.Delete()
		}
		if err == nil && rand.IntN(3) == 0 {
			err = s.Sweep()
		}
		if err != nil {
			return complain(err)
		}
	}
}

// shim does what a container's shim does, with a first process that would outlive it.
func shim() int {
	runtime.LockOSThread() // the parent-death signal is bound to the thread
	s, err := Open(os.Args[1])
	if err != nil {
		return complain(err)
	}
	c := s.byID(os.Args[2])
	if c == nil {
		return 0 // the sweep of another round was faster
	}
	if _, err := HoldAlive(c.Dir); err != nil {
		return complain(err)
	}
	first := child(holdStage)
	first.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	release, err := first.StdinPipe()
	if err != nil {
		return complain(err)
	}
	if err := first.Start(); err != nil {
		return complain(err)
	}
	state := State{Status: Created}
	state.Shim, _ = Identify(os.Getpid())
	state.Init, _ = Identify(first.Process.Pid)
	must := func(err error) {
		if err != nil {
			os.Exit(complain(err))
		}
	}
	must(WriteState(c.Dir, &state, Fleeting))
	release.Write([]byte{1}) // as a program that changes its ids is not killed with its parent any longer
	state.Status, state.StartedAt = Running, time.Now()
	must(WriteState(c.Dir, &state, Fleeting))
	time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
	must(first.Process.Kill())
	first.Wait()
	state.Status, state.FinishedAt = Exited, time.Now()
	must(WriteState(c.Dir, &state, Fleeting))
	if c.removesItself() {
		u, err := c.Unlink()
		must(err)
		must(u.Delete())
	}
	s.Leave(c.ID)
	return 0
}

// checkStore tells what a sweep has left wrong.
func checkStore(t *testing.T, s *Store) {
	t.Helper()
	for _, folder := range []string{"tmp", "live"} {
		entries, err := os.ReadDir(s.path(folder))
		must(t, err)
		for _, e := range entries {
			t.Errorf("%s/%s is left", folder, e.Name())
		}
	}
	all, err := s.Containers()
	must(t, err)
	names := map[string]string{}
	for _, c := range all {
		r, err := c.Record()
		must(t, err)
		state, err := c.State()
		must(t, err)
		if state.unfinished() {
			t.Errorf("container %s has no shim and is %s", r.Name, state.Status)
		}
		if names[r.Name] != "" {
			t.Errorf("two containers are called %s", r.Name)
		}
		names[r.Name] = c.ID
		if found, err := s.Find(r.Name); err != nil || found.ID != c.ID {
			t.Errorf("the name %s leads to %v (%v), not to %s", r.Name, found, err, c.ID)
		}
	}
}

// kill ends a process at a random moment.
func kill(cmd *exec.Cmd, within time.Duration) {
	time.Sleep(time.Duration(rand.Int64N(int64(within))))
	cmd.Process.Kill()
	cmd.Wait()
}

func TestKilledWhileCreatingAndRemoving(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for round := range 100 {
		var cmds []*exec.Cmd
		for range 2 {
			cmd := child(churnStage, s.Root)
			must(t, cmd.Start())
			cmds = append(cmds, cmd)
		}
		for _, cmd := range cmds {
			kill(cmd, 25*time.Millisecond)
			if code := cmd.ProcessState.ExitCode(); code != -1 {
				t.Fatalf("round %d: a process ended by itself with %d", round, code)
			}
		}
		must(t, s.Sweep())
		checkStore(t, s)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		for _, name := range []string{"anna", "bert", "carl"} { // every name is free or taken, never stuck
			c, err := s.Find(name)
			if errors.Is(err, ErrNoContainer) {
				if c, err = s.Create(record(name, false), Fleeting, noFill); err != nil {
					t.Fatal(err)
				}
			}
			must(t, err)
			u, err := c.Unlink()
			must(t, err)
			must(t, u.Delete())
		}
	}
}

func TestKilledShim(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.Sweep())
	for round := range 200 {
		autoRemove := round%2 == 0
		c, err := s.Create(record(fmt.Sprint("shim", round), autoRemove), Fleeting, noFill)
		must(t, err)
		cmd := child(shimStage, s.Root, c.ID)
		must(t, cmd.Start())
		must(t, s.register(cmd.Process.Pid, c.ID)) // as Enter does
		kill(cmd, 25*time.Millisecond)
		var state State
		wasRunning := ReadJSON(filepath.Join(c.Dir, "state.json"), &state) == nil && state.Init.PID != 0
		if round%3 == 0 {
			done := make(chan error)
			for range 3 {
				go func() { done <- s.Sweep() }() // several commands at once
			}
			for range 3 {
				must(t, <-done)
			}
		}
		must(t, s.Sweep())
		checkStore(t, s)
		if wasRunning {
			if pidfd, err := state.Init.Open(); err != nil || pidfd != nil {
				t.Errorf("the first process outlived the shim and the sweep (%v)", err)
			}
		}
		if autoRemove && s.byID(c.ID) != nil {
			t.Error("a container that was to be removed at its end is left")
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

func createOne() int {
	var b [1]byte
	os.Stdin.Read(b[:])
	s, err := Open(os.Args[1])
	if err != nil {
		return complain(err)
	}
	_, err = s.Create(record(os.Args[2], false), Fleeting, noFill)
	switch {
	case errors.Is(err, ErrNameTaken):
		return 3
	case err != nil:
		return complain(err)
	}
	return 0
}

// Of several that want one name exactly one gets it, also where a dead process's
// name is in the way.
func TestRacingCreates(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for round := range 30 {
		name := fmt.Sprint("name", round)
		if round%2 == 0 {
			must(t, os.Symlink(NewID(), s.path("names", name)))
		}
		read, write, err := os.Pipe()
		must(t, err)
		var cmds []*exec.Cmd
		for range 4 {
			cmd := child(createStage, s.Root, name)
			cmd.Stdin = read
			must(t, cmd.Start())
			cmds = append(cmds, cmd)
		}
		read.Close()
		write.Close()
		winners := 0
		for _, cmd := range cmds {
			cmd.Wait()
			switch code := cmd.ProcessState.ExitCode(); code {
			case 0:
				winners++
			case 3:
			default:
				t.Errorf("a creator ended with %d", code)
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d of 4 got the name", round, winners)
		}
	}
	must(t, s.Sweep())
	checkStore(t, s)
}

// A process that made a --rm container and dies before its shim took over leaves nothing.
func TestIntendedStart(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.Sweep())
	r := record("intended", true)
	c, err := s.Create(r, Fleeting, noFill)
	must(t, err)
	done, err := s.Intend(r.ID)
	must(t, err)
	must(t, s.Sweep())
	if s.byID(c.ID) == nil {
		t.Fatal("a container was swept although its starter lives")
	}
	done()
	holder := child(holdStage)
	ready, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	must(t, s.register(holder.Process.Pid, intent+r.ID))
	if _, err := ready.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	must(t, s.Sweep())
	if s.byID(c.ID) == nil {
		t.Fatal("a container was swept although its starter lives")
	}
	holder.Process.Kill()
	holder.Wait()
	must(t, s.Sweep())
	checkStore(t, s)
	if s.byID(c.ID) != nil {
		t.Error("the container is left")
	}
}

// Once the shim has taken over, the starter may die.
func TestIntendedStartTakenOver(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.Sweep())
	c, err := s.Create(record("taken", true), Fleeting, noFill)
	must(t, err)
	held, err := HoldAlive(c.Dir)
	must(t, err)
	dead := exec.Command("/bin/true")
	must(t, dead.Run())
	must(t, os.Symlink(ProcessID{PID: dead.Process.Pid, Start: 1, Boot: bootID()}.String(), s.path("live", intent+c.ID)))
	must(t, s.Sweep())
	wantMissing(t, s.path("live", intent+c.ID))
	if s.byID(c.ID) == nil {
		t.Error("a container was swept although its shim lives")
	}
	must(t, held.Close())
	s.Leave(c.ID)
}

// A second shim that came too late has overwritten the entry of the first.
func TestSweepRestoresTheHolder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.Sweep())
	c, err := s.Create(record("twice", true), Fleeting, noFill)
	must(t, err)
	held, err := HoldAlive(c.Dir)
	must(t, err)
	self, err := Identify(os.Getpid())
	must(t, err)
	must(t, WriteState(c.Dir, &State{Status: Running, Shim: self, Init: self}, Fleeting))
	dead := exec.Command("/bin/true")
	must(t, dead.Run())
	must(t, s.enlist(ProcessID{PID: dead.Process.Pid, Start: 1, Boot: bootID()}, c.ID))
	must(t, s.Sweep())
	if live, err := s.Live(); err != nil || live[c.ID] != self {
		t.Errorf("live/ names %v (%v), want the holder %v", live, err, self)
	}
	must(t, WriteState(c.Dir, &State{Status: Exited}, Fleeting))
	must(t, held.Close())
	s.Leave(c.ID)
}

// A process that has ended keeps its number for as long as its parent does not look.
func TestSweepTakesAZombieForDead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.Sweep())
	c, err := s.Create(record("one", true), Fleeting, noFill)
	must(t, err)
	zombie := exec.Command("/bin/true")
	must(t, zombie.Start())
	defer zombie.Wait()
	id, err := Identify(zombie.Process.Pid)
	must(t, err)
	must(t, s.enlist(id, c.ID))
	must(t, WriteState(c.Dir, &State{Status: Running, Shim: id, Init: id}, Fleeting))
	must(t, id.Wait(time.Minute))
	must(t, s.Sweep())
	wantMissing(t, c.Dir)
	checkStore(t, s)
}

// After a boot everything is looked at: what ran has ended, what a power cut has
// emptied goes, what is damaged otherwise stays and is told.
func TestSweepAfterBoot(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.Sweep())
	make := func(name string, autoRemove bool, status Status) *Container {
		c, err := s.Create(record(name, autoRemove), Fleeting, noFill)
		must(t, err)
		earlier := ProcessID{PID: 1, Start: 1, Boot: "an earlier boot"}
		must(t, WriteState(c.Dir, &State{Status: status, Shim: earlier, Init: earlier}, Fleeting))
		return c
	}
	running, fleeting, created := make("running", false, Running), make("fleeting", true, Running), make("created", true, Created)
	must(t, WriteState(created.Dir, &State{Status: Created}, Fleeting))
	emptied, blank, damaged := make("emptied", true, Running), make("blank", true, Running), make("damaged", false, Exited)
	must(t, os.Truncate(filepath.Join(emptied.Dir, "record.json"), 0))
	must(t, os.Truncate(filepath.Join(emptied.Dir, "state.json"), 0))
	must(t, os.WriteFile(filepath.Join(blank.Dir, "record.json"), []byte(strings.Repeat("\x00", 100)), 0o600))
	must(t, os.WriteFile(filepath.Join(damaged.Dir, "record.json"), []byte(`{"ID":`), 0o600))
	must(t, os.Symlink("1.1.an earlier boot", s.path("live", running.ID)))
	must(t, os.Symlink(NewID(), s.path("names", "dead")))
	must(t, os.Remove(s.path("boot")))
	must(t, os.Symlink("an earlier boot", s.path("boot")))
	must(t, s.Sweep())

	state, err := running.State()
	must(t, err)
	if state.Status != Exited || state.ExitCode != 137 || state.Error != "the machine was restarted" {
		t.Errorf("what ran is %+v", state)
	}
	for name, c := range map[string]*Container{"running": running, "created": created, "damaged": damaged} {
		if s.byID(c.ID) == nil {
			t.Errorf("container %s is gone", name)
		}
	}
	for name, c := range map[string]*Container{"fleeting": fleeting, "emptied": emptied, "blank": blank} {
		if s.byID(c.ID) != nil {
			t.Errorf("container %s is left", name)
		}
	}
	if _, err := damaged.Record(); !errors.Is(err, ErrDamaged) {
		t.Errorf("the damaged record: %v", err)
	}
	wantMissing(t, s.path("names", "dead"))
	u, err := damaged.Unlink()
	must(t, err)
	must(t, u.Delete())
	checkStore(t, s)
}

// What a living process has locked in tmp/ is left to it.
func TestSweepLeavesTheLiving(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	c, err := s.Create(record("one", false), Fleeting, noFill)
	must(t, err)
	u, err := c.Unlink()
	must(t, err)
	must(t, s.Sweep())
	if _, err := os.Lstat(u.Path); err != nil {
		t.Fatalf("a sweep took what another process deletes: %v", err)
	}
	if _, err := s.Create(record("one", false), Fleeting, noFill); err != nil {
		t.Errorf("the name is not free: %v", err)
	}
	must(t, u.Delete())
	must(t, s.Sweep())
	checkStore(t, s)
}

func TestLockStart(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	c, err := s.Create(record("one", false), Fleeting, noFill)
	must(t, err)
	lock, state, err := c.LockStart()
	must(t, err)
	if state.Status != Created {
		t.Errorf("the container is %s", state.Status)
	}
	aliveFile, err := HoldAlive(c.Dir)
	must(t, err)
	if _, err := HoldAlive(c.Dir); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a second shim: %v, want EAGAIN", err)
	}
	lock.Unlock()
	if _, _, err := c.LockStart(); !errors.Is(err, ErrRunning) {
		t.Errorf("a second start: %v, want ErrRunning", err)
	}
	if err := c.AwaitShim(); !errors.Is(err, ErrRunning) {
		t.Errorf("waiting for a shim that stays: %v, want ErrRunning", err)
	}
	must(t, aliveFile.Close())
	must(t, c.AwaitShim())
	lock, _, err = c.LockStart()
	must(t, err)
	lock.Unlock()
	s.Leave(c.ID)
}

// A lock's file that is deleted while others wait for it locks nobody twice.
func TestDiscardedLock(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	inside := make(chan int, 1)
	done := make(chan error)
	for i := range 8 {
		go func() {
			for range 50 {
				lock, err := s.Lock("thing")
				if err != nil {
					done <- err
					return
				}
				select {
				case inside <- i:
				default:
					done <- errors.New("two hold the lock")
					return
				}
				<-inside
				lock.Discard()
			}
			done <- nil
		}()
	}
	for range 8 {
		must(t, <-done)
	}
	wantMissing(t, s.path("locks", "thing"))
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{"": false, "a": true, "-a": false, ".a": false, "_": false, "a.b_c-d": true, "A9": true, "a/b": false, "ä": false, "a b": false} {
		if ValidName(name) != want {
			t.Errorf("ValidName(%q) = %v", name, !want)
		}
	}
}
