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
	case op.overtaken():
		return cutShort(state, op)
	case op.Status == 404:
		// The clock of a paused sandbox stands: no timeout can be set.
		return when(state == gone || (op.Verb == "timeout" && state == paused), unchanged)
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
		}
	case "connect":
		switch {
		case op.Status == 201 && state == paused:
			return []State{running}
		case op.Status == 201 && state == running:
			return when(op.beside["connect"], unchanged)
		case op.Status == 200:
			return when(state == running, unchanged)
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

// overtaken: another verb took the sandbox elsewhere, or a kill takes it away (404 from the moment it is taken).
func (op Operation) overtaken() bool {
	switch {
	case op.Said == "superseded":
		return (op.Verb == "pause" && op.beside["connect"]) || (op.Verb == "connect" && op.beside["pause"])
	case op.Said == "being-killed", op.Status == 404:
		return op.Verb != "see" && op.Verb != "kill" && op.beside["kill"]
	}
	return false
}

// overtakenBy gives the verbs whose end bounds what an overtaken operation may still do.
func (op Operation) overtakenBy(other Operation) bool {
	if op.Said == "superseded" {
		return (op.Verb == "pause" && other.Verb == "connect") || (op.Verb == "connect" && other.Verb == "pause") || other.Verb == "kill"
	}
	return op.overtaken() && other.Verb == "kill"
}

// cutShort: it may have got as far as it wanted before it was taken elsewhere.
func cutShort(state State, op Operation) []State {
	switch {
	case op.Verb == "pause" && state == running:
		return []State{state, paused}
	case op.Verb == "connect" && state == paused:
		return []State{state, running}
	}
	return []State{state}
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
