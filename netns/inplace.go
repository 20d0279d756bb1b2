package netns

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is read of a file that a container may have written.
const maxFile = 1 << 20

// Update changes a container's /etc/hosts or /etc/resolv.conf from what skiff would
// have written before a change of its networks to what it writes after it. Only the
// difference is touched, by lines: what the container or its user has written there
// stays, and what they have deleted does not come back. The caller holds the container's lock.
func Update(path string, was, is []byte) error {
	f, err := openOwn(path)
	if err != nil {
		return err
	}
	defer f.Close()
	current, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return err
	}
	if len(current) > maxFile {
		return fmt.Errorf("updating %s: it has more than %d bytes", path, maxFile)
	}
	return overwrite(f, current, merge(current, was, is))
}

// RewriteInPlace gives a file that exists another content. It stays the same inode,
// as it is mounted into the container.
func RewriteInPlace(path string, data []byte) error {
	f, err := openOwn(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return overwrite(f, nil, data)
}

func openOwn(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// overwrite writes all at once. Where the file becomes shorter, empty lines cover its
// old end until that is cut off: who reads in between gets no half of a line.
func overwrite(f *os.File, current, data []byte) error {
	if bytes.Equal(current, data) && len(data) > 0 {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("rewriting %s: it is no regular file", f.Name())
	}
	padded := data
	if rest := info.Size() - int64(len(data)); rest > 0 && rest <= maxFile {
		padded = append(slices.Clone(data), bytes.Repeat([]byte("\n"), int(rest))...)
	}
	if _, err := f.WriteAt(padded, 0); err != nil {
		return errors.Join(err, f.Truncate(int64(len(data))))
	}
	return f.Truncate(int64(len(data)))
}

// merge applies to current what makes is of was: lines of was alone go, lines of is
// alone come, where the first went or else at the end.
func merge(current, was, is []byte) []byte {
	before, after := lines(was), lines(is)
	var kept, added [][]byte
	have := lines(current)
	for _, line := range after {
		if !contains(before, line) && !contains(have, line) {
			added = append(added, line)
		}
	}
	at := -1
	for _, line := range have {
		if contains(before, line) && !contains(after, line) {
			if at < 0 {
				at = len(kept)
			}
			continue
		}
		kept = append(kept, line)
	}
	if at < 0 {
		at = len(kept)
	}
	kept = slices.Insert(kept, at, added...)
	return bytes.Join(kept, nil)
}

// lines parts a text; each has its end.
func lines(text []byte) [][]byte {
	var all [][]byte
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			line = append(slices.Clone(line), '\n')
		}
		all = append(all, line)
	}
	return all
}

func contains(all [][]byte, line []byte) bool {
	return slices.ContainsFunc(all, func(l []byte) bool { return bytes.Equal(l, line) })
}
