package dns

import (
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/netns"
	"golang.org/x/sys/unix"
)

// What resolv.conf(5) bounds, and for how long its file may change without its time doing so.
const (
	maxServers  = 3
	maxResolv   = 64 << 10
	clockGrain  = 50 * time.Millisecond
	maxTimeout  = 5 * time.Second
	maxAttempts = 3
)

// manner is how servers are asked.
type manner struct {
	timeout  time.Duration // for one server to answer; 0: as seems right
	attempts int           // how often each is asked
	rotate   bool
}

// resolvFile is a resolv.conf as it is at each moment.
type resolvFile struct {
	path string

	mu      sync.Mutex
	seen    stamp
	settled bool // it was last read when it had not just been written
	servers []netip.Addr
	how     manner
}

// stamp tells apart what a path names at two moments.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

// get returns the servers in their order; none where the file is missing.
func (f *resolvFile) get() ([]netip.Addr, manner) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var st unix.Stat_t
	if err := unix.Stat(f.path, &st); err != nil {
		f.seen = stamp{}
		return nil, manner{}
	}
	now := stamp{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
	if now == f.seen && f.settled {
		return f.servers, f.how
	}
	text, err := f.read()
	if err != nil {
		f.seen = stamp{}
		return nil, manner{}
	}
	f.seen, f.settled = now, time.Since(time.Unix(st.Ctim.Unix())) > clockGrain
	c := netns.ParseResolv(text)
	f.servers, f.how = c.Servers[:min(len(c.Servers), maxServers)], mannerOf(c.Options)
	return f.servers, f.how
}

// read does not wait for one that is a pipe.
func (f *resolvFile) read() (string, error) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", os.ErrInvalid
	}
	text, err := io.ReadAll(io.LimitReader(file, maxResolv))
	return string(text), err
}

func mannerOf(options []string) manner {
	var how manner
	for _, o := range options {
		name, value, _ := strings.Cut(o, ":")
		n, err := strconv.Atoi(value)
		switch {
		case o == "rotate":
			how.rotate = true
		case name == "timeout" && err == nil && n > 0:
			how.timeout = min(time.Duration(min(n, 60))*time.Second, maxTimeout)
		case name == "attempts" && err == nil && n > 0:
			how.attempts = min(n, maxAttempts)
		}
	}
	return how
}
