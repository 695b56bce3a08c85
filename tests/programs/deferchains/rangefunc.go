//go:build go1.23

package main

import "iter"

func init() {
	scenarios["rangeFunc"] = sRangeFunc
	scenarios["rangeNested"] = sRangeNested
	scenarios["rangeAfter"] = sRangeAfter
	scenarios["rangePanic"] = sRangePanic
}

//go:noinline
func upTo(s string, n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		defer d3(s)
		for i := 0; i < n; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// Parks in the body: the iterator's own comes first, then the function's, those of the body among them.
func sRangeFunc(s string) {
	defer d1(s)
	for i := range upTo(s, 3) {
		defer d2(s)
		if i == 2 {
			park(s)
		}
	}
}

func sRangeNested(s string) {
	defer d1(s)
	for i := range upTo(s, 2) {
		defer d2(s)
		for k := range upTo(s, 2) {
			defer func() { _ = k; ran(s) }()
			if i == 1 && k == 1 {
				park(s)
				return
			}
		}
	}
}

func sRangeAfter(s string) {
	defer d1(s)
	for range upTo("~", 3) {
		defer d2(s)
	}
	defer d3(s)
	for range upTo("~", 1) {
		defer saves(s)
	}
	park(s)
}

func sRangePanic(s string) {
	defer d1(s)
	for i := range upTo(s, 3) {
		defer d2(s)
		if i == 1 {
			defer parks(s)
			panic(s)
		}
	}
}
