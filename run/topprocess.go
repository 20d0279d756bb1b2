package run

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// topView is how the processes of one container are looked at.
type topView struct {
	now           time.Time
	boot          time.Time // when the machine was started
	mapping       *userns.Mapping
	users, groups map[uint32]string // the container's names of ids
}

func newTopView(state *store.State) *topView {
	v := &topView{now: time.Now(), mapping: &userns.Mapping{}, users: map[uint32]string{}, groups: map[uint32]string{}}
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) == nil {
		v.boot = v.now.Add(-time.Duration(up.Nano()))
	}
	if m, err := userns.Of(state.Init.PID); err == nil {
		v.mapping = m
	}
	// Where its root cannot be looked into, ids are shown as numbers.
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", state.Init.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return v
	}
	root := os.NewFile(uintptr(fd), "root")
	defer root.Close()
	if users, groups, err := oci.AccountNames(root); err == nil {
		v.users, v.groups = users, groups
	}
	return v
}

// topProcess is a process with what /proc tells of it.
type topProcess struct {
	view   *topView
	pid    int
	stat   []string // proc_pid_stat(5) from field 3 on
	name   string
	status map[string]string // proc_pid_status(5)
	args   string
}

func (v *topView) read(pid int) (*topProcess, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, false
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return nil, false
	}
	p := &topProcess{view: v, pid: pid, name: string(stat[open+1 : end]), stat: strings.Fields(string(stat[end+1:])), status: map[string]string{}}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || len(p.stat) < 22 {
		return nil, false
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		p.status[key] = strings.TrimSpace(value)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, false
	}
	p.args = strings.TrimSpace(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
	if p.args == "" { // it is dead already, or has overwritten them
		p.args = "[" + p.name + "]"
		if p.stat[0] == "Z" {
			p.args += " <defunct>"
		}
	}
	return p, true
}

// number is a field of stat by its number in proc_pid_stat(5).
func (p *topProcess) number(field int) uint64 {
	if field-3 >= len(p.stat) {
		return 0
	}
	n, _ := strconv.ParseUint(p.stat[field-3], 10, 64)
	return n
}

func (p *topProcess) used() time.Duration { return time.Duration(p.number(14)+p.number(15)) * tick }

func (p *topProcess) started() time.Time {
	return p.view.boot.Add(time.Duration(p.number(22)) * tick)
}

func (p *topProcess) elapsed() time.Duration { return max(p.view.now.Sub(p.started()), 0) }

// share is the part of the time since its start that it has run, in percent.
func (p *topProcess) share() float64 {
	if p.elapsed() < tick {
		return 0
	}
	return float64(p.used()) / float64(p.elapsed()) * 100
}

// terminal is "pts/0", or "?" where there is none.
func (p *topProcess) terminal() string {
	n, _ := strconv.ParseInt(p.stat[7-3], 10, 64)
	device := uint64(uint32(n))
	major, minor := unix.Major(device), unix.Minor(device)
	switch {
	case device == 0:
		return "?"
	case major >= 136 && major <= 143: // unix98 terminals, Documentation/admin-guide/devices.txt
		return fmt.Sprintf("pts/%d", (major-136)*256+minor)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// ids is one of the four of "Uid:" or "Gid:": real, effective, saved, file system.
func (p *topProcess) id(key string, which int) string {
	fields := strings.Fields(p.status[key])
	if which >= len(fields) {
		return "?"
	}
	return fields[which]
}

// inside is an id of the host's as the container has it: its name where it has one.
func inside(host string, ranges []userns.IDMap, names map[uint32]string) string {
	n, err := strconv.ParseUint(host, 10, 32)
	if err != nil {
		return host
	}
	for _, r := range ranges {
		if n >= uint64(r.Outside) && n-uint64(r.Outside) < uint64(r.Size) {
			id := uint32(n - uint64(r.Outside) + uint64(r.Inside))
			if name, named := names[id]; named {
				return name
			}
			return strconv.FormatUint(uint64(id), 10)
		}
	}
	return host
}

func (p *topProcess) user(which int) string {
	return inside(p.id("Uid", which), p.view.mapping.UIDs, p.view.users)
}

func (p *topProcess) group(which int) string {
	return inside(p.id("Gid", which), p.view.mapping.GIDs, p.view.groups)
}

func (p *topProcess) groups(names func(id string) string) string {
	var words []string
	for id := range strings.FieldsSeq(p.status["Groups"]) {
		words = append(words, names(id))
	}
	return strings.Join(words, ",")
}

// innermost is a number that "NSpid:" and its like tell for each PID namespace.
func (p *topProcess) innermost(key string) string {
	fields := strings.Fields(p.status[key])
	if len(fields) == 0 {
		return "?"
	}
	return fields[len(fields)-1]
}

// parentInside is the parent's id as the container sees it: 0 from outside.
func (p *topProcess) parentInside() string {
	parent := int(p.number(4))
	if other, ok := p.view.read(parent); ok && len(strings.Fields(other.status["NSpid"])) == len(strings.Fields(p.status["NSpid"])) {
		return other.innermost("NSpid")
	}
	return "0"
}
