package oci

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// lookPath finds a program as Docker does: a name with a slash is a path, relative
// to the working directory; any other is looked for in the process's own PATH. It
// runs as the process's user, in its root and directory.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		err := executable(name)
		switch {
		case err == nil:
			return name, nil
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			return "", &Error{Code: codeNotFound, Text: fmt.Sprintf("exec: %q: stat %s: %s", name, name, err)}
		}
		return "", &Error{Code: codeNotExecutable, Text: fmt.Sprintf("exec: %q: %s", name, err)}
	}
	if name != "" {
		for _, dir := range strings.Split(environment(env, "PATH"), ":") {
			if dir == "" {
				dir = "." // sh(1)
			}
			if candidate := dir + "/" + name; executable(candidate) == nil {
				return candidate, nil
			}
		}
	}
	return "", &Error{Code: codeNotFound, Text: fmt.Sprintf("exec: %q: executable file not found in $PATH", name)}
}

// executable says why a file cannot be executed by this thread's user, or nil.
func executable(name string) error {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.EISDIR
	}
	if st.Mode&0o111 == 0 {
		return unix.EACCES // root is told that it may execute all files
	}
	return unix.Faccessat(unix.AT_FDCWD, name, unix.X_OK, unix.AT_EACCESS)
}

// execFailure puts what execve(2) says into words. name is what was asked for, path
// what was found.
func execFailure(name, path string, err error) error {
	e := &Error{Code: codeNotExecutable, Text: fmt.Sprintf("exec: %q: %s", name, err)}
	switch {
	case errors.Is(err, unix.ENOENT):
		e.Code = codeNotFound
		e.Hint = path + " is there, but not the interpreter that it names: the one after #!, or the dynamic loader"
	case errors.Is(err, unix.ENOEXEC):
		e.Hint = path + " is built for another platform, or a script without a #! line"
	case errors.Is(err, unix.E2BIG):
		e.Hint = "arguments and environment are too large"
	case errors.Is(err, unix.EAGAIN):
		e.Hint = "the limit on processes (nproc) counts all of this user's"
	}
	return e
}
