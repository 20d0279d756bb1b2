package registry

// Progress is told what a pull does, from several goroutines at once.
type Progress interface {
	Update(Event)
}

// Event is one step of one layer, or of the whole where ID is empty.
type Event struct {
	ID      string // first 12 hexadecimal digits of the blob's digest
	Phase   Phase
	Current int64  // bytes so far
	Total   int64  // bytes in all, 0 where unknown
	Text    string // for Status and Retrying: what to tell
}

// Phase is what happens to a layer at the moment.
type Phase string

const (
	Waiting     Phase = "Waiting"        // another process downloads it, or a place is awaited
	Downloading Phase = "Downloading"    // and unpacking in the same pass
	Extracting  Phase = "Extracting"     // from a blob that was here already
	Retrying    Phase = "Retrying"       // after a passing fault, which Text names
	Complete    Phase = "Pull complete"  //
	Exists      Phase = "Already exists" //
	Mapping     Phase = "Preparing"      // for containers that have other ids
	Mapped      Phase = "Prepared"       //
	Status      Phase = "Status"         // a line about the whole pull
)

// PullOptions say what to pull and how.
type PullOptions struct {
	Reference string // as the user wrote it
	Platform  string // "os/arch[/variant]"; empty is the host's
	TLSVerify bool   // false also allows plain http; loopback registries may use it anyway
	AuthFile  string // docker or podman credentials file; empty searches the usual places
	Progress  Progress
}
