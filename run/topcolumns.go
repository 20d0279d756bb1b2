package run

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// topColumn is one column of top.
type topColumn struct {
	title string
	text  func(*topProcess) string
}

// The columns of ps's own formats (ps(1)).
const (
	psPlain = "pid tty time comm=CMD"
	psFull  = "user=UID pid ppid c stime tty time args=CMD"
	psExtra = "user=UID pid ppid c sz rss psr stime tty time args=CMD"
	psUser  = "user pid pcpu pmem vsz rss tty stat stime=START time args=COMMAND"
)

// TopDescriptors are the names of podman's columns.
func TopDescriptors() []string { return slices.Sorted(maps.Keys(topDescriptors())) }

// topDescriptors are podman's columns: ids as the container sees them.
func topDescriptors() map[string]topColumn {
	return merged(map[string]topColumn{
		"pid":    {"PID", func(p *topProcess) string { return p.innermost("NSpid") }},
		"ppid":   {"PPID", (*topProcess).parentInside},
		"pgid":   {"PGID", func(p *topProcess) string { return p.innermost("NSpgid") }},
		"hpid":   {"HPID", func(p *topProcess) string { return strconv.Itoa(p.pid) }},
		"huser":  {"HUSER", func(p *topProcess) string { return p.id("Uid", 1) }},
		"hgroup": {"HGROUP", func(p *topProcess) string { return p.id("Gid", 1) }},
		"hgroups": {"HGROUPS", func(p *topProcess) string {
			return p.groups(func(id string) string { return id })
		}},
		"groups": {"GROUPS", func(p *topProcess) string {
			return p.groups(func(id string) string { return inside(id, p.view.mapping.GIDs, p.view.groups) })
		}},
		"capamb":  {"AMBIENT CAPS", func(p *topProcess) string { return p.capabilities("CapAmb") }},
		"capbnd":  {"BOUNDING CAPS", func(p *topProcess) string { return p.capabilities("CapBnd") }},
		"capeff":  {"EFFECTIVE CAPS", func(p *topProcess) string { return p.capabilities("CapEff") }},
		"capinh":  {"INHERITED CAPS", func(p *topProcess) string { return p.capabilities("CapInh") }},
		"capprm":  {"PERMITTED CAPS", func(p *topProcess) string { return p.capabilities("CapPrm") }},
		"label":   {"LABEL", (*topProcess).label},
		"seccomp": {"SECCOMP", (*topProcess).seccomp},
		"state":   {"STATE", func(p *topProcess) string { return p.stat[0] }},
	})
}

// psDescriptors are the columns of ps -o: ids are the host's.
func psDescriptors() map[string]topColumn {
	return merged(map[string]topColumn{
		"pid":     {"PID", func(p *topProcess) string { return strconv.Itoa(p.pid) }},
		"ppid":    {"PPID", func(p *topProcess) string { return strconv.FormatUint(p.number(4), 10) }},
		"pgid":    {"PGID", func(p *topProcess) string { return strconv.FormatUint(p.number(5), 10) }},
		"sid":     {"SID", func(p *topProcess) string { return strconv.FormatUint(p.number(6), 10) }},
		"uid":     {"UID", func(p *topProcess) string { return p.id("Uid", 1) }},
		"gid":     {"GID", func(p *topProcess) string { return p.id("Gid", 1) }},
		"stat":    {"STAT", func(p *topProcess) string { return p.stat[0] }},
		"s":       {"S", func(p *topProcess) string { return p.stat[0] }},
		"sz":      {"SZ", func(p *topProcess) string { return strconv.FormatUint(p.number(23)/uint64(os.Getpagesize()), 10) }},
		"psr":     {"PSR", func(p *topProcess) string { return strconv.FormatUint(p.number(39), 10) }},
		"pmem":    {"%MEM", func(p *topProcess) string { return fmt.Sprintf("%.1f", p.memoryShare()) }},
		"nlwp":    {"NLWP", func(p *topProcess) string { return strconv.FormatUint(p.number(20), 10) }},
		"cmd":     {"CMD", func(p *topProcess) string { return p.args }},
		"command": {"COMMAND", func(p *topProcess) string { return p.args }},
		"ucmd":    {"CMD", func(p *topProcess) string { return p.name }},
		"lstart":  {"STARTED", func(p *topProcess) string { return p.started().Local().Format("Mon Jan _2 15:04:05 2006") }},
		"etimes":  {"ELAPSED", func(p *topProcess) string { return strconv.Itoa(int(p.elapsed().Seconds())) }},
		"%cpu":    {"%CPU", func(p *topProcess) string { return fmt.Sprintf("%.1f", p.share()) }},
		"%mem":    {"%MEM", func(p *topProcess) string { return fmt.Sprintf("%.1f", p.memoryShare()) }},
		"ni":      {"NI", func(p *topProcess) string { return p.stat[19-3] }},
	})
}

// sharedColumns mean the same to both. Users and groups are the container's.
func sharedColumns() map[string]topColumn {
	return map[string]topColumn{
		"args":   {"COMMAND", func(p *topProcess) string { return p.args }},
		"comm":   {"COMMAND", func(p *topProcess) string { return p.name }},
		"c":      {"C", func(p *topProcess) string { return strconv.Itoa(min(int(p.share()), 99)) }},
		"etime":  {"ELAPSED", func(p *topProcess) string { return clock(p.elapsed(), false) }},
		"group":  {"GROUP", func(p *topProcess) string { return p.group(1) }},
		"rgroup": {"RGROUP", func(p *topProcess) string { return p.group(0) }},
		"user":   {"USER", func(p *topProcess) string { return p.user(1) }},
		"ruser":  {"RUSER", func(p *topProcess) string { return p.user(0) }},
		"nice":   {"NI", func(p *topProcess) string { return p.stat[19-3] }},
		"pcpu":   {"%CPU", func(p *topProcess) string { return fmt.Sprintf("%.1f", p.share()) }},
		"rss":    {"RSS", func(p *topProcess) string { return strconv.FormatUint(p.number(24)*uint64(os.Getpagesize())/1024, 10) }},
		"stime":  {"STIME", (*topProcess).startText},
		"time":   {"TIME", func(p *topProcess) string { return clock(p.used(), true) }},
		"tty":    {"TTY", (*topProcess).terminal},
		"vsz":    {"VSZ", func(p *topProcess) string { return strconv.FormatUint(p.number(23)/1024, 10) }},
	}
}

// merged adds the shared columns to own ones.
func merged(own map[string]topColumn) map[string]topColumn {
	maps.Copy(own, sharedColumns())
	return own
}

func (p *topProcess) memoryShare() float64 {
	total := hostMemory()
	if total == 0 {
		return 0
	}
	return float64(p.number(24)) * float64(os.Getpagesize()) / float64(total) * 100
}

// startText is the time of day, the day, or the year, as ps -f has it.
func (p *topProcess) startText() string {
	start, now := p.started().Local(), p.view.now.Local()
	switch {
	case start.Year() != now.Year():
		return start.Format("2006")
	case start.YearDay() != now.YearDay():
		return start.Format("Jan02")
	}
	return start.Format("15:04")
}

// clock is a duration as [DD-]HH:MM:SS, or without hours where there are none.
func clock(d time.Duration, hours bool) string {
	s := int(d.Seconds())
	text := fmt.Sprintf("%02d:%02d", s/60%60, s%60)
	if s >= 3600 || hours {
		text = fmt.Sprintf("%02d:%s", s/3600%24, text)
	}
	if days := s / 86400; days > 0 {
		text = fmt.Sprintf("%d-%s", days, text)
	}
	return text
}

// capabilities names those of a set, without CAP_.
func (p *topProcess) capabilities(set string) string {
	bits, err := strconv.ParseUint(p.status[set], 16, 64)
	switch {
	case err != nil:
		return "?"
	case bits == 0:
		return "none"
	case bits == 1<<len(capabilities)-1:
		return "full"
	}
	var names []string
	for n, name := range capabilities {
		if bits&(1<<n) != 0 {
			names = append(names, strings.TrimPrefix(name, "CAP_"))
		}
	}
	return strings.Join(names, ",")
}

// label is what a Linux security module calls the process.
func (p *topProcess) label() string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", p.pid))
	if err != nil {
		return "?"
	}
	return strings.TrimRight(string(text), "\x00\n")
}

func (p *topProcess) seccomp() string {
	return map[string]string{"0": "disabled", "1": "strict", "2": "filter"}[p.status["Seccomp"]]
}
