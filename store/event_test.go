package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// emptyStore has nothing that removal needs a namespace for.
func emptyStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "root"))
	must(t, err)
	return s
}

// ids are the ids of the events that j has now.
func ids(t *testing.T, j *Journal) (found []string) {
	t.Helper()
	must(t, j.Read(func(e *Event) error {
		found = append(found, e.ID)
		return nil
	}))
	return found
}

func TestEventComesBackAsItWas(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	then := time.Now().Add(-time.Minute)
	s.Emit(Event{Time: then, Type: "container", Action: "die", ID: "c1", Attributes: map[string]string{"exitCode": "3", "name": "a\nb"}})
	j, err := s.OpenJournal(false)
	must(t, err)
	defer j.Close()
	n := 0
	must(t, j.Read(func(e *Event) error {
		n++
		if !e.Time.Equal(then) || e.Type != "container" || e.Action != "die" || e.ID != "c1" || e.Attributes["name"] != "a\nb" || e.Attributes["exitCode"] != "3" {
			t.Errorf("read %+v", e)
		}
		return nil
	}))
	if n != 1 {
		t.Errorf("read %d events, want 1", n)
	}
}

// TestEventsOfAnOlderStore: there is no folder for them yet.
func TestEventsOfAnOlderStore(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	must(t, os.Remove(s.path("events")))
	s.Emit(Event{ID: "first"})
	j, err := s.OpenJournal(false)
	must(t, err)
	defer j.Close()
	if got := ids(t, j); len(got) != 1 || got[0] != "first" {
		t.Errorf("read %q", got)
	}
}

// TestTornLineLosesNoOther: what a crash cut off, or a power cut left blank, takes no
// event with it.
func TestTornLineLosesNoOther(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	s.Emit(Event{ID: "before"})
	f, err := os.OpenFile(s.path("events", journalName), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("\n{\"timeNano\":12,\"ID\":\"to\x00\x00\x00")
	must(t, err)
	must(t, f.Close())
	s.Emit(Event{ID: "after"})
	j, err := s.OpenJournal(false)
	must(t, err)
	defer j.Close()
	if got := ids(t, j); fmt.Sprint(got) != "[before after]" {
		t.Errorf("read %q", got)
	}
}

func TestEventIsBounded(t *testing.T) {
	t.Parallel()
	line, err := encodeEvent(&Event{ID: "x", Action: "exec_create: " + strings.Repeat("\x02", 1<<20), Attributes: map[string]string{"name": "web", "long": strings.Repeat("\x01", 4<<20)}})
	must(t, err)
	if len(line) > 2*eventMost || !strings.Contains(string(line), `"name":"web"`) || strings.Contains(string(line), "long") {
		t.Errorf("%d bytes: %.100s", len(line), line)
	}
}

// TestLabelsHideNoEvent: an image may have so many labels, all of them shorter than a
// container's name, that there is no room for both. The name is what events are looked for by.
func TestLabelsHideNoEvent(t *testing.T) {
	t.Parallel()
	r := Record{Name: "web", Config: Config{Image: "busybox", Labels: map[string]string{}}}
	for i := range 5000 {
		r.Config.Labels[strconv.FormatInt(int64(i), 36)] = ""
	}
	r.Config.Labels["container"] = strings.Repeat("x", 1<<20)
	e := r.Event("die", "exitCode", "3")
	line, err := encodeEvent(&e)
	must(t, err)
	for _, attribute := range []string{`"name":"web"`, `"image":"busybox"`, `"exitCode":"3"`} {
		if len(line) > 2*eventMost || !strings.Contains(string(line), attribute) {
			t.Errorf("%d bytes, without %s: %.100s", len(line), attribute, line)
		}
	}
}

// TestRotationLosesNoEvent has several writers fill more than one file while a
// follower reads: it gets each of them once, and each writer's in its order.
func TestRotationLosesNoEvent(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	j, err := s.OpenJournal(true)
	must(t, err)
	defer j.Close()
	const writers, each = 4, 60
	filler := map[string]string{"filler": strings.Repeat("x", eventMost-1024)}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := range each {
				s.Emit(Event{Type: fmt.Sprint(w), ID: fmt.Sprint(n), Attributes: filler})
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := map[string]int{}
	for total := 0; total < writers*each; {
		must(t, j.Read(func(e *Event) error {
			if e.ID != fmt.Sprint(next[e.Type]) {
				t.Errorf("writer %s: got event %s, want %d", e.Type, e.ID, next[e.Type])
			}
			next[e.Type]++
			total++
			return nil
		}))
		if total < writers*each {
			must(t, j.Wait(ctx))
		}
	}
	writing.Wait()
	s.Emit(Event{ID: "alone"}) // with nobody else writing, what is too long is rotated now
	if _, err := os.Stat(s.path("events", journalName+".1")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(s.path("events", journalName)); err == nil && info.Size() >= journalMost {
		t.Errorf("the journal has %d bytes", info.Size())
	}
}

// TestFollowerThatSlept finds both files exchanged: what is still there is read.
func TestFollowerThatSlept(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	j, err := s.OpenJournal(true)
	must(t, err)
	defer j.Close()
	path := s.path("events", journalName)
	for n := range 3 {
		s.Emit(Event{ID: fmt.Sprint(n)})
		must(t, os.Rename(path, path+".1"))
	}
	s.Emit(Event{ID: "3"})
	// The first is in the file that the follower has open, the second is gone.
	if got := ids(t, j); fmt.Sprint(got) != "[0 2 3]" {
		t.Errorf("read %q", got)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	j, err := s.OpenJournal(true)
	must(t, err)
	defer j.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := j.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting gave %v", err)
	}
}

// TestNobodyElseReadsTheJournal: command lines and labels stand in it.
func TestNobodyElseReadsTheJournal(t *testing.T) {
	t.Parallel()
	s := emptyStore(t)
	s.Emit(Event{ID: "x"})
	var st unix.Stat_t
	must(t, unix.Stat(s.path("events", journalName), &st))
	if st.Mode&0o077 != 0 {
		t.Errorf("mode %o", st.Mode)
	}
}

func BenchmarkEmit(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "root"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Emit(Event{Type: "container", Action: "start", ID: strings.Repeat("a", 64), Attributes: map[string]string{"name": "web", "image": "busybox"}})
	}
}
