package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
)

// modeNetworks are listed among the networks and are none: what --network host and
// --network none mean.
var modeNetworks = [...]netns.Mode{netns.Host, netns.None}

// modeSummary is the row of one of them. Its id is the same in every store.
func modeSummary(m netns.Mode) NetworkSummary {
	id := sha256.Sum256([]byte("skiff network " + string(m)))
	driver := string(m)
	if m == netns.None {
		driver = "null"
	}
	return NetworkSummary{ID: hex.EncodeToString(id[:]), Name: string(m), Driver: driver, Scope: "local", EnableIPv4: true, Predefined: true}
}

func summaryOf(n *store.Network) NetworkSummary {
	return NetworkSummary{
		ID: n.ID, Name: n.Name, Driver: n.Driver, Scope: "local", EnableIPv4: n.EnableIPv4(), EnableIPv6: n.EnableIPv6, Internal: n.Internal,
		Created: n.Created, Labels: n.Labels, Predefined: n.Name == string(netns.Bridge),
	}
}

// NetworkList returns all networks by name, and those that every store has.
func (e *Engine) NetworkList(ctx context.Context, filters map[string][]string) ([]NetworkSummary, error) {
	defer e.tidy()()
	match, err := e.networkFilters(filters)
	if err != nil {
		return nil, err
	}
	if _, err := netns.Network(e.Store, string(netns.Bridge)); err != nil {
		return nil, err
	}
	networks, err := e.Store.Networks()
	if err != nil {
		return nil, err
	}
	var all []NetworkSummary
	for _, n := range networks {
		all = append(all, summaryOf(n))
	}
	for _, m := range modeNetworks {
		all = append(all, modeSummary(m))
	}
	all = slices.DeleteFunc(all, func(n NetworkSummary) bool { return !match(&n) })
	slices.SortFunc(all, func(a, b NetworkSummary) int { return strings.Compare(a.Name, b.Name) })
	return all, ctx.Err()
}

// networkFilters reads --filter by Docker's rules: of one key's values any must
// match, of labels and of keys all.
func (e *Engine) networkFilters(asked map[string][]string) (func(*NetworkSummary) bool, error) {
	type test = func(*NetworkSummary) bool
	var keys [][]test
	every := map[int]bool{}
	for key, values := range asked {
		var tests []test
		for _, value := range values {
			t, err := e.networkFilter(key, value)
			if err != nil {
				return nil, err
			}
			tests = append(tests, t)
		}
		every[len(keys)] = key == "label" || key == "label!" || key == "until"
		keys = append(keys, tests)
	}
	return func(n *NetworkSummary) bool {
		for i, tests := range keys {
			holds := func(t test) bool { return t(n) }
			if every[i] && slices.ContainsFunc(tests, func(t test) bool { return !t(n) }) {
				return false
			}
			if !every[i] && !slices.ContainsFunc(tests, holds) {
				return false
			}
		}
		return true
	}, nil
}

func (e *Engine) networkFilter(key, value string) (func(*NetworkSummary) bool, error) {
	switch key {
	case "name":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("parsing filter %q: %w", key+"="+value, err)
		}
		return func(n *NetworkSummary) bool { return pattern.MatchString(n.Name) }, nil
	case "id":
		return func(n *NetworkSummary) bool { return strings.HasPrefix(n.ID, value) }, nil
	case "driver":
		return func(n *NetworkSummary) bool { return n.Driver == value }, nil
	case "scope":
		return func(n *NetworkSummary) bool { return n.Scope == value }, nil
	case "label":
		return func(n *NetworkSummary) bool { return hasLabel(n.Labels, value) }, nil
	case "label!":
		return func(n *NetworkSummary) bool { return !hasLabel(n.Labels, value) }, nil
	case "type":
		if value != "custom" && value != "builtin" {
			return nil, fmt.Errorf("invalid filter: 'type'='%s': custom or builtin", value)
		}
		return func(n *NetworkSummary) bool { return n.Predefined == (value == "builtin") }, nil
	case "dangling":
		want, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter: 'dangling'='%s': true or false", value)
		}
		used, err := e.wantedNetworks()
		if err != nil {
			return nil, err
		}
		return func(n *NetworkSummary) bool { return (!n.Predefined && used[n.Name] == 0) == want }, nil
	case "until":
		until, err := ParseTime(value, time.Now())
		if err != nil {
			return nil, err
		}
		return func(n *NetworkSummary) bool { return n.Created.Before(until) }, nil
	}
	return nil, fmt.Errorf("invalid filter %q", key)
}

// wantedNetworks counts for each network the containers, running or not, that are to be in it.
func (e *Engine) wantedNetworks() (map[string]int, error) {
	all, err := e.Store.Containers()
	if err != nil {
		return nil, err
	}
	used := map[string]int{}
	for _, c := range all {
		r, err := c.Record()
		if err != nil {
			continue // gone, or damaged: it can only be removed
		}
		wanted, err := e.Store.Wanted(r)
		if err != nil {
			return nil, err
		}
		for _, w := range wanted {
			used[w.Network]++
		}
	}
	return used, nil
}
