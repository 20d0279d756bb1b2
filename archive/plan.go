package archive

import (
	"errors"
	"strings"
)

// The errors of a copy whose two ends do not fit, in Docker's words.
var (
	ErrCannotCopyDir = errors.New("cannot copy directory")
	ErrDirNotExists  = errors.New("no such directory")
	ErrNotDirectory  = errors.New("not a directory")
)

// Plan decides as `docker cp` what a source becomes at its destination: the directory
// to unpack in, and the name there. dst is the path as it was asked for.
//
//	source     destination            becomes
//	file       missing                that file; an error where dst ends in a slash
//	file       file                   that file, anew
//	file       directory              a file in it
//	directory  missing                that directory, with the source's content
//	directory  file                   an error
//	directory  directory              a directory in it; of "dir/." the content alone
func Plan(src *Info, at *Place, dst string) (into, name string, err error) {
	switch {
	case at.IsDir():
		return at.Folder, src.Name, nil
	case at.Exists && src.IsDir():
		return "", "", ErrCannotCopyDir
	case !at.Exists && !src.IsDir() && (strings.HasSuffix(dst, "/") || contentOnly(dst)):
		return "", "", ErrDirNotExists
	}
	return at.Folder, at.Base, nil
}
