package escape

import (
	"fmt"
	"os"
)

// attacker is the first argument with which this program is the hostile one, inside
// of a container, where it lies as /tool. It prints what it could do.
const attacker = "escape-attacker"

// attacks by their names. Each returns an error where it could not be tried at all.
var attacks = map[string]func(args []string) error{
	"sleep":       sleep,
	"writable":    writable,
	"readable":    readable,
	"namespaces":  makeNamespaces,
	"descriptors": descriptors,
	"climb":       climb,
	"key":         searchKey,
	"stage":       enterStage,
	"program":     grabProgram,
	"swap":        swap,
	"reach":       reach,
	"terminal":    findTerminal,
	"abstract":    connectAbstract,
	"memory":      findMemory,
	"mounts":      changeMounts,
	"title":       setTitle,
	"watch":       watch,
	"lie":         lie,
}

func attack(verb string, args []string) int {
	f := attacks[verb]
	if f == nil {
		fmt.Fprintln(os.Stderr, "no such attack:", verb)
		return 1
	}
	if err := f(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// done tells whether the test has seen enough.
func done() bool {
	_, err := os.Lstat("/done")
	return err == nil
}

// sleep is no attack.
func sleep([]string) error {
	waitDone()
	return nil
}
