package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/store"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// logged makes a container that has ended, with the log files given, newest first.
func logged(t *testing.T, files ...[]string) (*Engine, *store.Container) {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	r := &store.Record{ID: store.NewID(), Name: "box", HostConfig: store.HostConfig{LogConfig: store.LogConfig{Type: "json-file"}}}
	c, err := s.Create(r, store.Fleeting, func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for i, lines := range files {
		name := "log"
		if i > 0 {
			name = fmt.Sprint("log.", i)
		}
		appendLog(t, c, name, lines...)
	}
	end(t, c)
	return &Engine{Store: s}, c
}

func appendLog(t *testing.T, c *store.Container, name string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(c.Dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, line := range lines {
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
}

func end(t *testing.T, c *store.Container) {
	t.Helper()
	if err := store.WriteState(c.Dir, &store.State{Status: store.Exited}, store.Fleeting); err != nil {
		t.Fatal(err)
	}
}

// line is a record of the n-th second.
func line(n int) string {
	return fmt.Sprintf(`{"log":"%d\n","stream":"stdout","time":"%s"}`+"\n", n, epoch.Add(time.Duration(n)*time.Second).Format(time.RFC3339Nano))
}

func lines(from, to int) (all []string) {
	for n := from; n <= to; n++ {
		all = append(all, line(n))
	}
	return all
}

func readAll(t *testing.T, e *Engine, o LogOptions) string {
	t.Helper()
	var out, errs strings.Builder
	if err := e.Logs(t.Context(), "box", o, &out, &errs); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), "\n", " ")
}

func TestLogs(t *testing.T) {
	t.Parallel()
	e, _ := logged(t, lines(7, 9), lines(4, 6), lines(1, 3))
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	for _, test := range []struct {
		o    LogOptions
		want string
	}{
		{LogOptions{Tail: -1}, "1 2 3 4 5 6 7 8 9 "},
		{LogOptions{Tail: 0}, ""},
		{LogOptions{Tail: 2}, "8 9 "},
		{LogOptions{Tail: 3}, "7 8 9 "},
		{LogOptions{Tail: 4}, "6 7 8 9 "},
		{LogOptions{Tail: 100}, "1 2 3 4 5 6 7 8 9 "},
		{LogOptions{Tail: -1, Since: at(8)}, "8 9 "},
		{LogOptions{Tail: -1, Until: at(2)}, "1 2 "},
		{LogOptions{Tail: -1, Since: at(5), Until: at(7)}, "5 6 7 "},
		{LogOptions{Tail: 1, Timestamps: true}, "2026-01-02T03:04:14.000000000Z 9 "},
		{LogOptions{Tail: 2, Follow: true}, "8 9 "},
	} {
		if got := readAll(t, e, test.o); got != test.want {
			t.Errorf("%+v gives %q, want %q", test.o, got, test.want)
		}
	}
}

// A line of the container's that was cut into records gets one time, and streams are kept apart.
func TestLogStreams(t *testing.T) {
	t.Parallel()
	e, _ := logged(t, []string{
		`{"log":"long ","stream":"stdout","time":"2026-01-02T03:04:05Z"}` + "\n",
		`{"log":"oops\n","stream":"stderr","time":"2026-01-02T03:04:06Z"}` + "\n",
		`not json` + "\n",
		`{"log":"line\n","stream":"stdout","time":"2026-01-02T03:04:07Z"}` + "\n",
		`{"log":"cut sho`,
	})
	var out, errs strings.Builder
	if err := e.Logs(t.Context(), "box", LogOptions{Tail: -1, Timestamps: true}, &out, &errs); err != nil {
		t.Fatal(err)
	}
	if want := "2026-01-02T03:04:05.000000000Z long line\n"; out.String() != want {
		t.Errorf("stdout is %q, want %q", out.String(), want)
	}
	if want := "2026-01-02T03:04:06.000000000Z oops\n"; errs.String() != want {
		t.Errorf("stderr is %q, want %q", errs.String(), want)
	}
}

// A follower reads every line of a log that is rotated under it, and ends with the container.
func TestFollowThroughRotation(t *testing.T) {
	t.Parallel()
	e, c := logged(t, lines(1, 3))
	if err := store.WriteState(c.Dir, &store.State{Status: store.Created}, store.Fleeting); err != nil {
		t.Fatal(err)
	}
	got := &signalled{more: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- e.Logs(t.Context(), "box", LogOptions{Tail: -1, Follow: true}, got, got) }()
	got.await("3\n") // the follower stands at the end
	path := filepath.Join(c.Dir, "log")
	for round := range 20 {
		from := 4 + 3*round
		appendLog(t, c, "log", line(from))
		os.Rename(path+".1", path+".2")
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		appendLog(t, c, "log", line(from+1), line(from+2))
		got.await(fmt.Sprintf("%d\n", from+2)) // else the follower may be overtaken: three files are all there is
	}
	end(t, c)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for n := 1; n <= 63; n++ {
		fmt.Fprintln(&want, n)
	}
	if got.text.String() != want.String() {
		t.Errorf("followed %q", got.text.String())
	}
}

func TestFollowIsCancelled(t *testing.T) {
	t.Parallel()
	e, c := logged(t, lines(1, 1))
	if err := store.WriteState(c.Dir, &store.State{Status: store.Created}, store.Fleeting); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	if err := e.Logs(ctx, "box", LogOptions{Tail: -1, Follow: true}, &out, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("following ends with %v", err)
	}
}

func TestNoLog(t *testing.T) {
	t.Parallel()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	r := &store.Record{ID: store.NewID(), Name: "box", HostConfig: store.HostConfig{LogConfig: store.LogConfig{Type: "none"}}}
	if _, err := s.Create(r, store.Fleeting, func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	err = (&Engine{Store: s}).Logs(t.Context(), "box", LogOptions{Tail: -1}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), `"none" keeps nothing`) {
		t.Errorf("reading no log gives %v", err)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"10m":                       epoch.Add(-10 * time.Minute),
		"2026-01-02T03:04:05Z":      epoch,
		"2026-01-02T03:04:05.5Z":    epoch.Add(500 * time.Millisecond),
		"2026-01-02T05:04:05+02:00": epoch,
		"1767323045":                epoch,
		"1767323045.5":              epoch.Add(500 * time.Millisecond),
		"2026-01-02T03:04:05":       time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local),
		"2026-01-02":                time.Date(2026, 1, 2, 0, 0, 0, 0, time.Local),
	} {
		if got, err := ParseTime(text, epoch); err != nil || !got.Equal(want) {
			t.Errorf("ParseTime(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "1.x", "1.1234567890"} {
		if _, err := ParseTime(text, epoch); err == nil {
			t.Errorf("time %q is taken", text)
		}
	}
}

// signalled is a writer on whose content others wait.
type signalled struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed and renewed by each write
}

func (s *signalled) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(data)
	close(s.more)
	s.more = make(chan struct{})
	return len(data), nil
}

func (s *signalled) await(text string) {
	for {
		s.mu.Lock()
		there, more := strings.HasSuffix(s.text.String(), text), s.more
		s.mu.Unlock()
		if there {
			return
		}
		<-more
	}
}
