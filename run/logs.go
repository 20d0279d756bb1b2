package run

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// logName is the current log in a container's folder; log.1 is the one before it, and so on.
const logName = "log"

// Logs writes what a container has written, each stream to its own writer. With
// o.Follow it goes on until the container has ended and all was read.
func (e *Engine) Logs(ctx context.Context, ref string, o LogOptions, stdout, stderr io.Writer) error {
	defer e.tidy()()
	c, r, err := e.find(ref)
	if err != nil {
		return err
	}
	if r.HostConfig.LogConfig.Type == "none" {
		return &userns.HostError{
			What: fmt.Sprintf("reading the log of container %q: its log driver \"none\" keeps nothing", r.Name),
			Hint: "create the container with --log-driver json-file",
		}
	}
	p := &logPrinter{options: &o, out: map[string]io.Writer{"stdout": stdout, "stderr": stderr}, middle: map[string]bool{}}
	err = readLog(ctx, c, o.Tail, o.Follow, p)
	if errors.Is(err, errUntil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the log of container %q: %w", r.Name, err)
	}
	return nil
}

// logRecord is one line of a json-file log.
type logRecord struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// errUntil says that all further lines are younger than asked for.
var errUntil = errors.New("past the last line asked for")

// logPrinter writes records as the options say.
type logPrinter struct {
	options *LogOptions
	out     map[string]io.Writer
	middle  map[string]bool // the stream's last record did not end its line
}

// stampLayout is RFC 3339 with all nine digits, so that columns stay straight.
const stampLayout = "2006-01-02T15:04:05.000000000Z07:00"

func (p *logPrinter) line(line []byte) error {
	var r logRecord
	if err := json.Unmarshal(line, &r); err != nil {
		return nil // cut short by a power cut, or not ours
	}
	o := p.options
	if !o.Until.IsZero() && r.Time.After(o.Until) {
		return errUntil
	}
	w := p.out[r.Stream]
	if w == nil || r.Time.Before(o.Since) {
		return nil
	}
	text := r.Log
	if !p.middle[r.Stream] {
		if o.Details {
			text = " " + text // no attributes are kept: an empty list of them, as Docker prints it
		}
		if o.Timestamps {
			text = r.Time.UTC().Format(stampLayout) + " " + text
		}
	}
	p.middle[r.Stream] = !strings.HasSuffix(r.Log, "\n")
	_, err := io.WriteString(w, text)
	return err
}

// readLog reads the files of a log, oldest first, from the tail-th line before the end.
func readLog(ctx context.Context, c *store.Container, tail int, follow bool, p *logPrinter) error {
	files, err := openLogs(c.Dir)
	if err != nil {
		return err
	}
	defer func() { closeAll(files) }()
	if tail >= 0 {
		if files, err = seekTail(files, tail); err != nil {
			return err
		}
	}
	var f *logFollower
	if follow {
		if f, err = newLogFollower(c); err != nil {
			return err
		}
		defer f.close()
	}
	reader := &lineReader{}
	for {
		// Asked before reading: what was written until the end is then read as well.
		ended := !follow || f.ended()
		for i, file := range files {
			if err := reader.read(ctx, file, p.line, i < len(files)-1); err != nil {
				return err
			}
		}
		if len(files) > 1 {
			closeAll(files[:len(files)-1])
			files = files[len(files)-1:]
		}
		if !follow {
			return nil
		}
		younger, err := successors(c.Dir, files)
		if err != nil {
			return err
		}
		files = append(files, younger...)
		if len(younger) > 0 {
			continue
		}
		if ended {
			return nil
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
}

// openLogs opens log.N … log.1, log. It is done again where the files were rotated
// meanwhile, as one would be missing or there twice.
func openLogs(dir string) ([]*os.File, error) {
	for {
		files, names, err := openLogsOnce(dir)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 || unmoved(files, names) {
			return files, nil
		}
		closeAll(files)
	}
}

func openLogsOnce(dir string) (files []*os.File, names []string, err error) {
	for n := 0; ; n++ {
		name := filepath.Join(dir, logName)
		if n > 0 {
			name += "." + strconv.Itoa(n)
		}
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			if n == 0 {
				continue // for a moment during rotation, or not yet made
			}
			break
		}
		if err != nil {
			closeAll(files)
			return nil, nil, err
		}
		files = append([]*os.File{f}, files...)
		names = append([]string{name}, names...)
	}
	return files, names, nil
}

// unmoved tells whether the files still have the names under which they were opened.
func unmoved(files []*os.File, names []string) bool {
	for i, f := range files {
		have, err1 := f.Stat()
		now, err2 := os.Stat(names[i])
		if err1 != nil || err2 != nil || !os.SameFile(have, now) {
			return false
		}
	}
	return true
}

// successors opens the files that followed the one that was read last.
func successors(dir string, last []*os.File) ([]*os.File, error) {
	if len(last) == 1 {
		have, err := last[0].Stat()
		if err != nil {
			return nil, err
		}
		if now, err := os.Stat(filepath.Join(dir, logName)); err != nil || os.SameFile(have, now) {
			return nil, nil // not rotated; or the container is gone, and no more comes
		}
	}
	all, err := openLogs(dir)
	if err != nil || len(last) == 0 {
		return all, err
	}
	have, err := last[0].Stat()
	if err != nil {
		closeAll(all)
		return nil, err
	}
	for i, f := range all {
		if info, err := f.Stat(); err == nil && os.SameFile(have, info) {
			closeAll(all[:i+1])
			return all[i+1:], nil
		}
	}
	return all, nil // it was rotated away: what lay between is lost
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// lineReader cuts files into lines; a line that is not whole yet waits for its rest.
type lineReader struct {
	open   []byte
	buffer *bufio.Reader
}

// read hands on the whole lines from where the file stands. With closed nothing is
// added to the file any more: half a line in it, which a power cut left, is dropped.
func (l *lineReader) read(ctx context.Context, f *os.File, each func([]byte) error, closed bool) error {
	if l.buffer == nil {
		l.buffer = bufio.NewReaderSize(f, 64<<10)
	} else {
		l.buffer.Reset(f)
	}
	for {
		part, err := l.buffer.ReadSlice('\n')
		l.open = append(l.open, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := each(l.open); err != nil {
			return err
		}
		l.open = l.open[:0]
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if closed {
		l.open = l.open[:0]
	}
	return nil
}
