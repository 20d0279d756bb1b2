package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/conmon"
)

// Processes is what top shows: a heading for each column, and a row for each process.
type Processes struct {
	Titles []string
	Rows   [][]string
}

// Top lists the processes of a running container. With args beginning with a dash, or
// none, they are options of ps(1) and ids are the host's, as in Docker: -e, -f, -F, -A,
// -o and aux. Other args are podman's descriptors, "user,pid,comm", and ids are those
// that the container sees, but for hpid, huser and hgroup.
func (e *Engine) Top(ctx context.Context, ref string, args []string) (*Processes, error) {
	defer e.tidy()()
	columns, err := topColumns(args)
	if err != nil {
		return nil, err
	}
	c, r, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	state, err := settle(ctx, c)
	if err != nil {
		return nil, err
	}
	if !state.Alive() {
		return nil, notRunning(r, "list the processes of", conmon.ErrGone)
	}
	view := newTopView(state)
	p := &Processes{}
	for _, col := range columns {
		p.Titles = append(p.Titles, col.title)
	}
	for _, pid := range containerProcesses(state) {
		process, ok := view.read(pid)
		if !ok {
			continue // it has ended
		}
		row := make([]string, len(columns))
		for i, col := range columns {
			row[i] = col.text(process)
		}
		p.Rows = append(p.Rows, row)
	}
	e.emit(r, "top")
	return p, nil
}

// topColumns reads what follows the container's name.
func topColumns(args []string) ([]topColumn, error) {
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	if strings.HasPrefix(args[0], "-") || slices.Contains([]string{"aux", "ax", "x", "a", "u"}, args[0]) {
		return psColumns(args)
	}
	var columns []topColumn
	descriptors := topDescriptors()
	for _, name := range strings.Split(strings.Join(args, ","), ",") {
		col, known := descriptors[strings.ToLower(strings.TrimSpace(name))]
		if !known {
			return nil, fmt.Errorf("unknown descriptor %q: use %s", name, strings.Join(TopDescriptors(), ", "))
		}
		columns = append(columns, col)
	}
	return columns, nil
}

// psColumns understands the options of ps that say what is shown. Which processes are
// shown is always all of the container's.
func psColumns(args []string) (columns []topColumn, err error) {
	format := psFull
	own := ""
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch list, given := psList(arg); {
		case given && list == "":
			if i++; i == len(args) {
				return nil, errors.New("ps: list of columns must follow -o")
			}
			own += args[i] + ","
		case given:
			own += list + ","
		case arg == "aux" || arg == "-aux" || arg == "u" || arg == "ux" || arg == "au":
			format = psUser
		case arg == "ax" || arg == "-e" || arg == "-A" || arg == "x" || arg == "a" || arg == "-a" || arg == "-x":
			format = psPlain
		case arg == "-ef" || arg == "-f" || arg == "-Af" || arg == "-fe":
			format = psFull
		case arg == "-eF" || arg == "-F":
			format = psExtra
		case arg == "-w" || arg == "-ww" || arg == "w" || arg == "ww": // lines are never cut
		default:
			return nil, fmt.Errorf("ps option %q is not known: use -e, -f, -F, aux, -o COLUMN,…, or descriptors without a dash", arg)
		}
	}
	if own != "" {
		format = own
	}
	descriptors := psDescriptors()
	for name := range strings.FieldsFuncSeq(format, func(r rune) bool { return r == ',' || r == ' ' }) {
		key, title, titled := strings.Cut(name, "=")
		col, known := descriptors[strings.ToLower(key)]
		if !known {
			return nil, fmt.Errorf("ps column %q is not known", key)
		}
		if titled {
			col.title = title
		}
		columns = append(columns, col)
	}
	return columns, nil
}

// psList takes the list out of "-o LIST", "-oLIST", "-eo LIST" and "--format=LIST".
func psList(arg string) (list string, given bool) {
	for _, prefix := range []string{"--format=", "-eo", "-Ao", "-o", "o"} {
		if rest, found := strings.CutPrefix(arg, prefix); found && (prefix != "o" || rest == "") {
			return rest, true
		}
	}
	return "", arg == "--format"
}
