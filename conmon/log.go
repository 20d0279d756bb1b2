package conmon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// logWriter writes Docker's json-file format: one JSON object a line with "log",
// "stream" and "time". A line of the container's that is longer than maxLine comes
// as several records, all but the last without a newline at the end of "log".
type logWriter struct {
	mu      sync.Mutex
	path    string
	file    *os.File
	size    int64
	maxSize int64             // bytes after which the file is rotated; 0 is never
	files   int               // kept, the current one included
	pending map[string][]byte // stream → the begin of a line whose end has not come
	record  []byte
}

const (
	maxLine        = 16 << 10
	logName        = "log"
	defaultMaxSize = 10 << 20
	defaultFiles   = 3
)

// openLog opens the log for a driver's options, "max-size" in bytes and "max-file"
// as run has checked them.
func openLog(dir string, options map[string]string) (*logWriter, error) {
	l := &logWriter{path: filepath.Join(dir, logName), maxSize: defaultMaxSize, files: defaultFiles, pending: map[string][]byte{}}
	if text := options["max-size"]; text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("parsing log option max-size %q: %w", text, err)
		}
		l.maxSize = max(n, 0)
	}
	if text := options["max-file"]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("parsing log option max-file %q: not a positive number", text)
		}
		l.files = n
	}
	return l, l.open()
}

func (l *logWriter) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("opening the log: %w", err)
	}
	l.file, l.size = f, info.Size()
	return nil
}

// write takes bytes of a stream and writes the lines that are complete.
func (l *logWriter) write(stream string, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	rest := l.pending[stream]
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n') + 1
		whole := end > 0
		if !whole {
			end = len(data)
		}
		if room := maxLine - len(rest); end > room {
			end, whole = room, true
		}
		if !whole {
			rest = append(rest, data[:end]...)
			break
		}
		if len(rest) == 0 {
			l.put(stream, data[:end], now)
		} else {
			rest = append(rest, data[:end]...)
			l.put(stream, rest, now)
			rest = rest[:0]
		}
		data = data[end:]
	}
	l.pending[stream] = rest
}

// close writes what has no newline and closes the file.
func (l *logWriter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for stream, rest := range l.pending {
		if len(rest) > 0 {
			l.put(stream, rest, time.Now())
		}
	}
	l.pending = map[string][]byte{}
	l.file.Close()
}

// put appends one record, in a file of its own where the current one is full. A
// full disk loses records and nothing else: the container goes on.
func (l *logWriter) put(stream string, line []byte, at time.Time) {
	r := append(l.record[:0], `{"log":"`...)
	r = appendJSON(r, line)
	r = append(r, `","stream":"`...)
	r = append(r, stream...)
	r = append(r, `","time":"`...)
	r = at.UTC().AppendFormat(r, time.RFC3339Nano)
	r = append(r, "\"}\n"...)
	l.record = r
	if l.maxSize > 0 && l.size > 0 && l.size+int64(len(r)) > l.maxSize {
		l.rotate()
	}
	n, err := l.file.Write(r)
	l.size += int64(n)
	if err != nil && n > 0 {
		// Half a record would spoil the next one.
		l.file.Truncate(l.size - int64(n))
		l.size -= int64(n)
	}
}

// rotate renames log to log.1, log.1 to log.2 and so on; the oldest goes.
func (l *logWriter) rotate() {
	old := l.file
	for i := l.files - 1; i > 0; i-- {
		from := l.path
		if i > 1 {
			from = l.path + "." + strconv.Itoa(i-1)
		}
		os.Rename(from, l.path+"."+strconv.Itoa(i))
	}
	if l.files == 1 {
		os.Remove(l.path)
	}
	if err := l.open(); err != nil {
		l.file = old // keep writing where we can
		return
	}
	old.Close()
}

// appendJSON appends s as the inside of a JSON string. Bytes that are no UTF-8
// become U+FFFD, as in Docker's log.
func appendJSON(b, s []byte) []byte {
	const hex = "0123456789abcdef"
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			b = append(b, s[start:i]...)
			if size == 1 {
				b = append(b, `\ufffd`...)
			} else {
				b = append(b, '\\', 'u', '2', '0', '2', hex[r&15])
			}
			i += size
			start = i
			continue
		}
		i += size
	}
	return append(b, s[start:]...)
}
