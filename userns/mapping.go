package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// IDMap is one line of /proc/PID/uid_map: Size ids from Inside on in the
// namespace are the ids from Outside on in its parent (user_namespaces(7)).
type IDMap struct {
	Inside, Outside, Size uint32
}

// Mapping are the ids of a user namespace, seen from the namespace of the caller.
type Mapping struct {
	UIDs, GIDs []IDMap
	// Single says that only the caller's own ids are mapped, because it has no
	// subordinate ones (or cannot use them); Why tells the cause.
	Single bool
	Why    error
	// privileged: written directly, as this process may map any id.
	privileged bool
}

// Current returns the mapping for the calling user as the host is configured at
// this moment: 0 is the caller, 1 and up are its subordinate ids. A caller that
// is root maps 0 to itself and the rest to its subordinate range, or to
// themselves where it has none. Nothing is cached: there is no migration.
func Current() (*Mapping, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	if Privileged() {
		return rootMapping()
	}
	single := &Mapping{
		UIDs:   []IDMap{{0, uint32(uid), 1}},
		GIDs:   []IDMap{{0, uint32(gid), 1}},
		Single: true,
	}
	subUIDs, subGIDs, err := hostSources().subordinate(uid)
	if err != nil {
		single.Why = err
		return single, nil
	}
	if err := checkHelpers(); err != nil {
		single.Why = err
		return single, nil
	}
	return &Mapping{
		UIDs: stack(uint32(uid), subUIDs),
		GIDs: stack(uint32(gid), subGIDs),
	}, nil
}

// stack maps 0 to own and lays the ranges behind it, without a gap.
func stack(own uint32, ranges []Range) []IDMap {
	maps := []IDMap{{0, own, 1}}
	next := uint32(1)
	for _, r := range ranges {
		maps = append(maps, IDMap{next, r.Start, r.Count})
		next += r.Count
	}
	return maps
}

// rootMapping is Current for root.
func rootMapping() (*Mapping, error) {
	m := &Mapping{privileged: true}
	subUIDs, subGIDs, err := hostSources().subordinate(0)
	if err == nil {
		m.UIDs, m.GIDs = stack(0, subUIDs), stack(0, subGIDs)
		return m, nil
	}
	own, err := own()
	if err != nil {
		return nil, err
	}
	m.UIDs, m.GIDs = identity(own.UIDs), identity(own.GIDs)
	return m, nil
}

// identity maps every id that a namespace has to itself.
func identity(have []IDMap) []IDMap {
	same := slices.Clone(have)
	for i := range same {
		same[i].Outside = same[i].Inside
	}
	return same
}

// Privileged tells whether the caller is root of its user namespace, with the
// capabilities of one.
func Privileged() bool { return os.Geteuid() == 0 && mayMapAll() }

// mayMapAll tells whether the caller has CAP_SETUID and CAP_SETGID where it is.
func mayMapAll() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	const want = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	return data[0].Effective&want == want
}

// Has tells whether id inside the namespace is mapped.
func Has(maps []IDMap, id uint32) bool {
	for _, m := range maps {
		if id >= m.Inside && id-m.Inside < m.Size {
			return true
		}
	}
	return false
}

// Equal tells whether two mappings give the same ids.
func (m *Mapping) Equal(other *Mapping) bool {
	return slices.Equal(m.UIDs, other.UIDs) && slices.Equal(m.GIDs, other.GIDs)
}

// Of reads the mapping of the user namespace in which a process lives.
func Of(pid int) (*Mapping, error) {
	uids, err := readMap(fmt.Sprintf("/proc/%d/uid_map", pid))
	if err != nil {
		return nil, err
	}
	gids, err := readMap(fmt.Sprintf("/proc/%d/gid_map", pid))
	if err != nil {
		return nil, err
	}
	return &Mapping{UIDs: uids, GIDs: gids}, nil
}

// readMap parses a uid_map or gid_map. The kernel merges nothing, so what was
// written is read back line by line.
func readMap(path string) ([]IDMap, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading id mappings: %w", err)
	}
	var maps []IDMap
	for line := range strings.Lines(string(data)) {
		var numbers [3]uint32
		fields := strings.Fields(line)
		if len(fields) != len(numbers) {
			return nil, fmt.Errorf("parsing %s: line %q is no range of ids", path, line)
		}
		for i, field := range fields {
			n, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("parsing %s: line %q: %w", path, line, err)
			}
			numbers[i] = uint32(n)
		}
		maps = append(maps, IDMap{numbers[0], numbers[1], numbers[2]})
	}
	return maps, nil
}

// write maps the ids of a fresh user namespace whose first process is pid. Where
// helpers do it, they are at work when it returns; done waits for them, and is nil
// where there are none.
func (m *Mapping) write(pid int) (done func() error, err error) {
	if !m.direct() {
		return m.startHelpers(pid)
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	if m.Single {
		// user_namespaces(7): an unprivileged writer of gid_map must give up setgroups first.
		if err := os.WriteFile(proc+"setgroups", []byte("deny"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("mapping group ids: %w", err)
		}
	}
	if err := writeMap(proc+"uid_map", m.UIDs); err != nil {
		return nil, fmt.Errorf("mapping user ids: %w", explainMapping(err))
	}
	if err := writeMap(proc+"gid_map", m.GIDs); err != nil {
		return nil, fmt.Errorf("mapping group ids: %w", explainMapping(err))
	}
	return nil, nil
}

// direct tells whether no helper is needed to write the mapping.
func (m *Mapping) direct() bool { return m.privileged || m.Single }

// writeMap writes a map in one go, as the kernel wants it. A child waits for it: package
// os would ask of the file first whether it can be polled.
func writeMap(path string, maps []IDMap) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, lines(maps))
		unix.Close(fd)
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

func lines(maps []IDMap) []byte {
	var b []byte
	for _, m := range maps {
		b = fmt.Appendf(b, "%d %d %d\n", m.Inside, m.Outside, m.Size)
	}
	return b
}

// startHelpers runs newuidmap and newgidmap at the same time: each takes about
// 1.5 ms, most of it the start of a set-id program.
func (m *Mapping) startHelpers(pid int) (done func() error, err error) {
	uids, err := startHelper("newuidmap", pid, m.UIDs)
	if err != nil {
		return nil, err
	}
	gids, err := startHelper("newgidmap", pid, m.GIDs)
	if err != nil {
		uids()
		return nil, err
	}
	return func() error { return errors.Join(uids(), gids()) }, nil
}

// startHelper starts one; done waits for its end and says what it complained of.
func startHelper(name string, pid int, maps []IDMap) (done func() error, err error) {
	args := []string{name, strconv.Itoa(pid)}
	for _, m := range maps {
		args = append(args, strconv.Itoa(int(m.Inside)), strconv.Itoa(int(m.Outside)), strconv.Itoa(int(m.Size)))
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, explainHelper(name, args[1:], "", err)
	}
	output, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer theirs.Close()
	// Not by package os, which first forks once more to learn what pidfds can do.
	process := &Process{}
	talk := theirs.Fd()
	process.PID, err = syscall.ForkExec(path, args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{^uintptr(0), talk, talk}})
	if err != nil {
		output.Close()
		return nil, explainHelper(name, args[1:], "", err)
	}
	return func() error {
		defer output.Close()
		said, _ := io.ReadAll(io.LimitReader(output, 4096))
		status, err := process.Wait()
		if err == nil && status != 0 {
			err = fmt.Errorf("exit status %d", status.ExitStatus())
		}
		if err != nil {
			return explainHelper(name, args[1:], strings.TrimSpace(string(said)), err)
		}
		return nil
	}, nil
}
