// Lets main.go declare a function of the runtime without a body.
