// Methods: promoted, through interfaces, value and pointer receivers, method values; wrappers to step through.
package main

import "fmt"

type animal interface{ sound() string }

type dog struct{ name string }

func (d dog) sound() string {
	s := d.name + " woof"
	return s // BP
}

type puppy struct {
	dog
	age int
}

type cat struct{ lives int }

func (c *cat) sound() string {
	c.lives--
	return "meow" // BP
}

func speak(a animal) string {
	return a.sound()
}

func main() {
	p := puppy{dog{"rex"}, 1}
	a := speak(p)
	b := speak(&cat{9})
	c := speak(&p)
	f := p.sound
	d := f()
	fmt.Println(a, b, c, d)
}
