package cli

import (
	"errors"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// hinted is an error with the way to mend it.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// hintOf finds the way to mend an error: the one that came with it, else what is
// known of the kinds of errors that packages below tell apart.
func hintOf(err error) string {
	var (
		own     *hinted
		host    *userns.HostError
		failure *conmon.Failure
		format  *store.FormatError
		remote  *store.RemoteError
	)
	switch {
	case errors.As(err, &own):
		return own.hint
	case errors.As(err, &host) && host.Hint != "":
		return host.Hint
	case errors.As(err, &failure) && failure.Hint != "":
		return failure.Hint
	case errors.As(err, &format):
		return "use the newer skiff that made this store, or another store by --root"
	case errors.As(err, &remote):
		return "name a folder on a local disk by --root or SKIFF_ROOT"
	case errors.Is(err, store.ErrNoContainer):
		return "skiff ps -a lists the containers"
	case errors.Is(err, store.ErrNoImage):
		return "skiff images lists the images"
	case errors.Is(err, store.ErrNoNetwork):
		return "skiff network ls lists the networks"
	case errors.Is(err, store.ErrNoSecret):
		return "skiff secret ls lists the secrets"
	case errors.Is(err, store.ErrSecretTaken):
		return "remove that secret by skiff secret rm, or use --replace"
	case errors.Is(err, store.ErrAmbiguous), errors.Is(err, store.ErrAmbiguousImage):
		return "give more digits of the id, or the name"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "a disk is full: skiff system df tells what the store takes, and skiff system prune frees what is not in use"
	case errors.Is(err, store.ErrNameTaken):
		return "remove that container by skiff rm, or choose another name"
	}
	return ""
}
