package run

import (
	"maps"

	"github.com/skiff-containers/skiff/store"
)

// emit writes what happened to a container to the journal. What the shim does itself,
// such as start and die, it writes itself.
func (e *Engine) emit(r *store.Record, action string, pairs ...string) {
	e.Store.Emit(r.Event(action, pairs...))
}

// emitImage writes what happened to an image: pull has the reference for an id, the
// others the image's own.
func (e *Engine) emitImage(action, id, name string, labels map[string]string) {
	attributes := make(map[string]string, len(labels)+1)
	maps.Copy(attributes, labels)
	attributes["name"] = name
	e.Store.Emit(store.Event{Type: "image", Action: action, ID: id, Attributes: attributes})
}

// emitNetwork writes what happened to a network; container is the one that it
// happened to as well, or "".
func (e *Engine) emitNetwork(action string, n *store.Network, container string) {
	attributes := map[string]string{"name": n.Name, "type": n.Driver}
	if container != "" {
		attributes["container"] = container
	}
	e.Store.Emit(store.Event{Type: "network", Action: action, ID: n.ID, Attributes: attributes})
}

// emitMember is emitNetwork for a container that joined or left by name.
func (e *Engine) emitMember(action, network, ref string) {
	n, err := e.Store.Network(network)
	if err != nil {
		return // of a network that is gone nothing is left to tell
	}
	if c, err := e.Store.Find(ref); err == nil {
		e.emitNetwork(action, n, c.ID)
	}
}
