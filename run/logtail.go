package run

import (
	"bytes"
	"io"
	"os"
)

// seekTail leaves of the files, oldest first, those that hold the last n lines, and
// the first of them standing where these begin. The others are closed.
func seekTail(files []*os.File, n int) ([]*os.File, error) {
	for i := len(files) - 1; i >= 0; i-- {
		lines, offset, err := countBack(files[i], n)
		if err != nil {
			return files, err
		}
		if lines < n && i > 0 {
			n -= lines
			continue
		}
		closeAll(files[:i])
		files = files[i:]
		_, err = files[0].Seek(offset, io.SeekStart)
		return files, err
	}
	return files, nil
}

// countBack counts lines from the end of a file, at most n, and tells where they begin.
func countBack(f *os.File, n int) (lines int, offset int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	size := info.Size()
	if n == 0 {
		return 0, size, nil
	}
	buffer := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(0, end-int64(len(buffer)))
		chunk := buffer[:end-start]
		if _, err := f.ReadAt(chunk, start); err != nil && err != io.EOF {
			return 0, 0, err
		}
		for at := len(chunk); ; {
			// A newline ends a line; the line after it begins where we want to be.
			at = bytes.LastIndexByte(chunk[:at], '\n')
			if at < 0 {
				break
			}
			if start+int64(at)+1 == size {
				continue // the end of the last line
			}
			if lines++; lines == n {
				return lines, start + int64(at) + 1, nil
			}
		}
		end = start
	}
	if size > 0 {
		lines++ // the first line has no newline before it
	}
	return lines, 0, nil
}
