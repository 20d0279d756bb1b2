package cli

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/docker/go-units"
)

// statsRow is a container's figures as --format sees them: Docker's fields, in the
// order of its JSON.
type statsRow struct {
	BlockIO   string
	CPUPerc   string
	Container string
	ID        string
	MemPerc   string
	MemUsage  string
	Name      string
	NetIO     string
	PIDs      string
}

// PIDS, CPU and Mem are podman's names.
func (r *statsRow) PIDS() string { return r.PIDs }
func (r *statsRow) CPU() string  { return r.CPUPerc }
func (r *statsRow) Mem() string  { return r.MemPerc }

func statsHeadings() map[string]string {
	return map[string]string{
		"BlockIO": "BLOCK I/O", "CPUPerc": "CPU %", "Container": "CONTAINER", "ID": "CONTAINER ID", "MemPerc": "MEM %",
		"MemUsage": "MEM USAGE / LIMIT", "Name": "NAME", "NetIO": "NET I/O", "PIDs": "PIDS",
		"PIDS": "PIDS", "CPU": "CPU %", "Mem": "MEM %",
	}
}

// unknown is how Docker writes a figure that there is not.
const unknown = "--"

// row is Docker's text of the figures.
func (f *figures) row(whole bool) *statsRow {
	s := f.now
	r := &statsRow{
		Container: cell(f.ref), ID: s.ID, Name: cell(s.Name), CPUPerc: unknown, MemPerc: unknown,
		MemUsage: unknown + " / " + unknown, NetIO: unknown + " / " + unknown, BlockIO: unknown + " / " + unknown, PIDs: unknown,
	}
	if !whole {
		r.ID = shortID(s.ID)
		if f.ref == s.ID {
			r.Container = r.ID
		}
	}
	lacks := func(controller string) bool { return slices.Contains(s.Lacking, controller) }
	if !lacks("cpu") {
		r.CPUPerc = fmt.Sprintf("%.2f%%", s.CPUPercent(f.before))
	}
	if !lacks("memory") {
		r.MemPerc = fmt.Sprintf("%.2f%%", s.MemoryPercent())
		r.MemUsage = units.BytesSize(float64(s.Memory)) + " / " + units.BytesSize(float64(s.MemoryLimit))
	}
	r.NetIO = pairOfSizes(s.NetworkIn, s.NetworkOut)
	if !lacks("io") {
		r.BlockIO = pairOfSizes(s.BlockRead, s.BlockWritten)
	}
	if !lacks("pids") {
		r.PIDs = strconv.FormatUint(s.Pids, 10)
	}
	return r
}

func pairOfSizes(a, b uint64) string {
	return units.HumanSizeWithPrecision(float64(a), 3) + " / " + units.HumanSizeWithPrecision(float64(b), 3)
}
