package main

import "github.com/anishathalye/porcupine"

// Operation is one line of a recorded history.
type Operation struct {
	Client  int    `json:"client"`
	Sandbox string `json:"sandbox"`
	// create, pause, connect, timeout, kill, or see (a get, or one sandbox's part of a list).
	Verb string `json:"verb"`
	Call int64  `json:"call"`
	// Absent: no answer that tells the outcome (504, a lost connection); it may have happened, also later.
	Return *int64 `json:"return"`
	Status int    `json:"status"`
	// Of a 409: superseded, already, or being-killed.
	Said string `json:"said"`
	// Of see: running, paused or absent.
	Seen string `json:"seen"`
	// Whether another operation of the named verb on the same sandbox was under way at the same time.
	beside map[string]bool
	// Until when it may take effect.
	effectUntil int64
}

// State of one sandbox.
type State string

const (
	none    State = "none"
	running State = "running"
	paused  State = "paused"
	gone    State = "gone"
)

// model is docs/states.md as a sequential specification. A verb happens at the moment at which the sandbox has settled.
// What is answered together with another call of the same verb (a second pause joins the first: both 204) is allowed
// only where such a call was really under way.
var nondeterministic = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		bySandbox := map[string][]porcupine.Operation{}
		for _, operation := range history {
			id := operation.Input.(Operation).Sandbox
			bySandbox[id] = append(bySandbox[id], operation)
		}
		var parts [][]porcupine.Operation
		for _, part := range bySandbox {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []interface{} { return []interface{}{none} },
	Step: func(state, input, _ interface{}) []interface{} {
		var states []interface{}
		for _, next := range step(state.(State), input.(Operation)) {
			states = append(states, next)
		}
		return states
	},
	DescribeOperation: func(input, _ interface{}) string { return input.(Operation).String() },
}

var model = nondeterministic.ToModel()

// step gives the states that a sandbox can be in after an operation with this answer; none when it cannot have it.
func step(state State, op Operation) []State {
	if op.Return == nil {
		return unanswered(state, op)
	}
	unchanged := []State{state}
	switch {
	case op.Status == 503 || op.Status == 429:
		return unchanged // Promised to have done nothing.
	case op.Verb == "see":
		return when(op.Status == 200 && seenAs(state) == op.Seen, unchanged)
	case op.Verb == "create":
		if state == none {
			return when(op.Status == 201, []State{running})
		}
		return when(op.Status == 201 && op.beside["create"], unchanged)
	case op.Status == 404 && op.Verb == "pause" && op.beside["kill"] && state == running:
		// Overtaken by the kill; it may have been saved before that.
		return []State{running, paused}
	case op.Status == 404 && op.Verb == "connect" && op.beside["kill"] && state == paused:
		return []State{paused, running}
	case op.Status == 404:
		// Said from the moment at which a kill is taken. And the clock of a paused sandbox stands: no timeout can be set.
		return when(state == gone || op.beside["kill"] || (op.Verb == "timeout" && state == paused), unchanged)
	case op.Said == "being-killed" && op.beside["kill"] && state == paused:
		return []State{paused, running}
	case op.Said == "being-killed":
		return when(op.beside["kill"] && state != gone, unchanged)
	}
	switch op.Verb {
	case "pause":
		switch {
		case op.Status == 204 && state == running:
			return []State{paused}
		case op.Status == 204 && state == paused:
			return when(op.beside["pause"], unchanged)
		case op.Said == "already":
			return when(state == paused, unchanged)
		case op.Said == "superseded":
			// It may have been saved before the connect took it elsewhere.
			return when(op.beside["connect"] && state != gone, []State{state, paused})
		}
	case "connect":
		switch {
		case op.Status == 201 && state == paused:
			return []State{running}
		case op.Status == 201 && state == running:
			return when(op.beside["connect"], unchanged)
		case op.Status == 200:
			return when(state == running, unchanged)
		case op.Said == "superseded":
			return when(op.beside["pause"] && state != gone, []State{state, running})
		}
	case "timeout":
		return when(op.Status == 204 && state == running, unchanged)
	case "kill":
		if op.Status != 204 {
			return nil
		}
		if state == gone {
			return when(op.beside["kill"], unchanged)
		}
		return []State{gone}
	}
	return nil
}

func unanswered(state State, op Operation) []State {
	states := []State{state}
	switch {
	case op.Verb == "create" && state == none, op.Verb == "connect" && state == paused:
		states = append(states, running)
	case op.Verb == "pause" && state == running:
		states = append(states, paused)
	case op.Verb == "kill" && state != gone:
		states = append(states, gone)
	}
	return states
}

func seenAs(state State) string {
	if state == running || state == paused {
		return string(state)
	}
	return "absent"
}

func when(possible bool, states []State) []State {
	if !possible {
		return nil
	}
	return states
}
