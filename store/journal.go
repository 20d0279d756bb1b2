package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Journal reads events, oldest first. It belongs to one goroutine.
type Journal struct {
	store  *Store
	files  []*os.File // to be read, oldest first; the last had the name when it was opened
	watch  *os.File   // inotify on the folder; nil where there is none to be had
	buffer *bufio.Reader
	open   []byte // a line whose end is not written yet
}

// journalPoll is how often a journal is looked at where the user has no inotify
// instances left.
const journalPoll = 200 * time.Millisecond

// OpenJournal opens the journal at its beginning, or with fresh at its end: then only
// what happens from now on is read. Close it.
func (s *Store) OpenJournal(fresh bool) (j *Journal, err error) {
	j = &Journal{store: s, buffer: bufio.NewReaderSize(nil, 64<<10)}
	if j.files, err = s.journalFiles(nil); err == nil {
		j.watch = watchFolder(s.path("events"))
		if fresh {
			j.drop(len(j.files) - 1)
			_, err = j.files[0].Seek(0, io.SeekEnd)
		}
	}
	if err != nil {
		j.Close()
		return nil, fmt.Errorf("opening the journal of events: %w", err)
	}
	return j, nil
}

// journalFiles opens what was written after the file last, or all there is, oldest first.
func (s *Store) journalFiles(last *os.File) ([]*os.File, error) {
	lock, err := s.openJournal() // made where it is missing; while it is held, nothing is renamed
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	path := s.path("events", journalName)
	current, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	files := []*os.File{current}
	if last != nil {
		if read, err := leadsTo(path+".1", last); err != nil || read {
			return files, err
		}
	}
	if older, err := os.Open(path + ".1"); err == nil {
		files = []*os.File{older, current}
	}
	return files, nil
}

// watchFolder is an inotify descriptor that Go's poller waits for, or nil.
func watchFolder(path string) *os.File {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY|unix.IN_CREATE); err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "inotify")
}

// Close lets go of the files.
func (j *Journal) Close() {
	if j.watch != nil {
		j.watch.Close()
	}
	j.drop(len(j.files))
}

// drop closes the oldest n files. A line that the last of them left open has no end.
func (j *Journal) drop(n int) {
	for _, f := range j.files[:n] {
		f.Close()
	}
	j.files, j.open = j.files[n:], j.open[:0]
}

// Read hands on the events that are there and were not handed on yet. It ends early
// with the error of each.
func (j *Journal) Read(each func(*Event) error) error {
	for {
		last := j.files[len(j.files)-1]
		// Asked before reading: nobody writes to a file that has lost its name.
		current, err := leadsTo(j.store.path("events", journalName), last)
		if err != nil {
			return fmt.Errorf("reading the journal of events: %w", err)
		}
		for {
			if err := j.readFile(j.files[0], each); err != nil {
				return err
			}
			if len(j.files) == 1 {
				break
			}
			j.drop(1)
		}
		if current {
			return nil
		}
		younger, err := j.store.journalFiles(last)
		if err != nil {
			return fmt.Errorf("reading the journal of events: %w", err)
		}
		j.drop(1)
		j.files = younger
	}
}

// readFile hands on the whole lines from where the file stands. What is no event was
// cut off by a crash, or comes from a newer skiff.
func (j *Journal) readFile(f *os.File, each func(*Event) error) error {
	j.buffer.Reset(f)
	for {
		part, err := j.buffer.ReadSlice('\n')
		if len(j.open) <= 2*eventMost {
			j.open = append(j.open, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("reading the journal of events: %w", err)
		}
		var l eventLine
		if line := bytes.TrimSpace(j.open); len(line) > 0 && json.Unmarshal(line, &l) == nil {
			err = each(&Event{time.Unix(0, l.Nano), l.Type, l.Action, l.ID, l.Attributes})
		}
		j.open = j.open[:0]
		if err != nil {
			return err
		}
	}
}

// Wait returns when something may have been written since the last Read began, or
// with the error of the context.
func (j *Journal) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.watch == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(journalPoll):
			return nil
		}
	}
	stop := context.AfterFunc(ctx, func() { j.watch.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var happened [4096]byte // what it was does not matter, only that it was
	if _, err := j.watch.Read(happened[:]); err != nil && ctx.Err() == nil {
		return fmt.Errorf("waiting for events: %w", err)
	}
	return ctx.Err()
}
