// Command linearizability checks a recorded history of a service (one JSON object a line, on standard input) against
// the model. Exit status: 0 linearizable, 1 not, 2 could not be told.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

const timeLimit = 5 * time.Minute

func (op Operation) String() string {
	if op.Return == nil {
		return fmt.Sprintf("client %d: %s → no answer", op.Client, op.Verb)
	}
	return fmt.Sprintf("client %d: %s → %d %s%s", op.Client, op.Verb, op.Status, op.Said, op.Seen)
}

func main() {
	operations, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "linearizability:", err)
		os.Exit(2)
	}
	noteNeighbours(operations)
	history := make([]porcupine.Operation, len(operations))
	for i, op := range operations {
		history[i] = porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Return: op.effectUntil}
	}
	parts := model.Partition(history)
	for _, part := range parts {
		switch result, info := porcupine.CheckOperationsVerbose(model, part, timeLimit); result {
		case porcupine.Illegal:
			explain(part, info)
			os.Exit(1)
		case porcupine.Unknown:
			fmt.Fprintf(os.Stderr, "linearizability: not told within %s\n", timeLimit)
			os.Exit(2)
		}
	}
	fmt.Printf("%d operations on %d sandboxes are linearizable\n", len(operations), len(parts))
}

func read(from *os.File) ([]Operation, error) {
	var operations []Operation
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var op Operation
		if err := json.Unmarshal(lines.Bytes(), &op); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(operations)+1, err)
		}
		operations = append(operations, op)
	}
	return operations, lines.Err()
}

func end(op Operation) int64 {
	if op.Return == nil {
		return math.MaxInt64
	}
	return *op.Return
}

// noteNeighbours fills in which verbs were under way on the same sandbox at the same time.
func noteNeighbours(operations []Operation) {
	bySandbox := map[string][]int{}
	for i := range operations {
		operations[i].beside = map[string]bool{}
		operations[i].effectUntil = end(operations[i])
		bySandbox[operations[i].Sandbox] = append(bySandbox[operations[i].Sandbox], i)
	}
	for _, indexes := range bySandbox {
		var overlaps [][2]int
		sort.Slice(indexes, func(a, b int) bool { return operations[indexes[a]].Call < operations[indexes[b]].Call })
		for at, i := range indexes {
			for _, j := range indexes[at+1:] {
				if operations[j].Call > end(operations[i]) {
					break
				}
				operations[i].beside[operations[j].Verb] = true
				operations[j].beside[operations[i].Verb] = true
				overlaps = append(overlaps, [2]int{i, j}, [2]int{j, i})
			}
		}
		boundEffects(operations, overlaps)
	}
}

// boundEffects: who is overtaken hears of it at once, but what was under way for it is ended first. Its effect may so
// come after its answer, at the latest when the one that overtook it (or the one that overtook that) is answered.
func boundEffects(operations []Operation, overlaps [][2]int) {
	for changed := true; changed; {
		changed = false
		for _, pair := range overlaps {
			overtaken, by := &operations[pair[0]], operations[pair[1]]
			if overtaken.overtakenBy(by) && by.effectUntil > overtaken.effectUntil {
				overtaken.effectUntil = by.effectUntil
				changed = true
			}
		}
	}
}

// explain prints what could be put in order, and the operations around the place where that ends.
func explain(part []porcupine.Operation, info porcupine.LinearizationInfo) {
	sandbox := part[0].Input.(Operation).Sandbox
	fmt.Printf("sandbox %s: its %d operations are not linearizable\n", sandbox, len(part))
	longest := []porcupine.Operation{}
	for _, candidates := range info.PartialLinearizationsOperations() {
		for _, candidate := range candidates {
			if len(candidate) > len(longest) {
				longest = candidate
			}
		}
	}
	ordered := map[string]bool{}
	for _, operation := range longest {
		op := operation.Input.(Operation)
		ordered[fmt.Sprint(op.Call, op.Client)] = true
	}
	fmt.Printf("the longest order that the model allows has %d; its end, then the first that do not fit:\n", len(longest))
	for _, operation := range longest[max(0, len(longest)-15):] {
		show(operation, "  ")
	}
	sort.Slice(part, func(a, b int) bool { return part[a].Call < part[b].Call })
	left := 0
	for _, operation := range part {
		op := operation.Input.(Operation)
		if left < 15 && !ordered[fmt.Sprint(op.Call, op.Client)] {
			show(operation, "! ")
			left++
		}
	}
	if file, err := os.CreateTemp("", "linearizability-*.html"); err == nil {
		defer file.Close()
		if porcupine.Visualize(model, info, file) == nil {
			fmt.Println("drawn in", file.Name())
		}
	}
}

func show(operation porcupine.Operation, mark string) {
	milliseconds := func(ns int64) float64 { return float64(ns) / 1e6 }
	op := operation.Input.(Operation)
	fmt.Printf("%s%10.1f to %10.1f ms  %s\n", mark, milliseconds(op.Call), milliseconds(end(op)), op)
}
