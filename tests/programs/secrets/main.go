// Holds a secret in every kind of place that a debugger shows. None is written here as it is: they are put together at run time.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime/pprof"
	"strings"
	"time"
)

// secret is a word without a telling shape, known by its number.
func secret(n int) string { return fmt.Sprintf("zq%02d-%s-%d", n, strings.Repeat("plum", 2), n*7919) }

type Password string

type Config struct {
	User     string
	Password string
	Inner    *Inner
}

type Inner struct {
	Endpoint     string
	ClientSecret string
}

type Credentials struct{ Login, Token string }

type Pair struct{ Name, Value string }

// Form has names that say nothing, and tags that do.
type Form struct {
	Answer string  `json:"password,omitempty"`
	Word   string  `adit:"secret"`
	Deeper *Deeper `yaml:"credentials"`
}

type Deeper struct{ First, Second string }

type key struct{}

var (
	apiToken       = secret(1)
	privateKey     = []byte(secret(2))
	config         = Config{User: "bob", Password: secret(3), Inner: &Inner{Endpoint: "/x", ClientSecret: secret(4)}}
	settings       = map[string]string{"password": secret(5), "colour": "green"}
	header         = http.Header{"Authorization": {"Basic " + secret(6)}, "Cookie": {secret(7)}, "Accept": {"text/plain"}}
	queue          = make(chan Credentials, 4)
	lines          = make(chan string, 4)
	boxed      any = Credentials{Login: "bob", Token: secret(11)}
	plain      any = Password(secret(27))
	signingKey [20]byte
	runes      = struct{ passphrase []rune }{[]rune(secret(23))}
	userinfo   = url.UserPassword("bob", secret(24))
	database   = "postgres://bob:" + secret(20) + "@db.internal:5432/shop"
	pem        = "-----BEGIN PRIVATE KEY-----\n" + secret(21) + "\n-----END PRIVATE KEY-----\n"
	pairs      = []Pair{{"accept", "*/*"}, {"authorization", secret(26)}}
	environ    = os.Environ()
	arguments  = os.Args
	otp        = 9040404
	longLine   = strings.Repeat("x", 50) + " Bearer " + secret(32) + " and more"
	loginError = errors.New("login failed with password=" + secret(16))
	contextual = context.WithValue(context.Background(), key{}, "Bearer "+secret(30))
	amazon     = "use " + "AKIA" + "ZQ12ABCDEFGH3456" + " here"
	form       = Form{Answer: secret(38), Word: secret(39), Deeper: &Deeper{"deep", secret(40)}}
	hot        int
	round      int
)

//go:noinline
func login(user, passphrase string, n int) int {
	token := []byte(passphrase)
	shaped := "Bearer " + secret(33)
	cookie := secret(14)
	defer func() { use(cookie) }()
	hot += n + len(token) + len(shaped)
	use(user, token, shaped)
	return hot
}

//go:noinline
func use(...any) {}

//go:noinline
func holds(captured chan int) func() string {
	secretWord := secret(10)
	return func() string {
		<-captured
		return secretWord
	}
}

//go:noinline
func waits(session string, shape string) {
	cookie := secret(34)
	defer func() { use(cookie) }()
	select {}
}

func fails() {
	defer func() {
		if r := recover(); r != nil {
			select {}
		}
	}()
	panic("no entry: token=" + secret(15))
}

func main() {
	copy(signingKey[:], secret(22))
	tokens := map[string]int{"AKIA" + "ZQ35ABCDEFGH3456": 1}
	queue <- Credentials{Login: "bob", Token: secret(8)}
	lines <- "eyJhbGciOiJIUzI1NiJ9." + strings.ReplaceAll(secret(9), "-", "_") + ".c2ln"
	f := holds(make(chan int))
	go f()
	go waits(secret(36), "Bearer "+secret(37))
	go fails()
	go pprof.Do(context.Background(), pprof.Labels("session_token", secret(19), "step", "one"), func(context.Context) { select {} })
	http.DefaultClient.Timeout = time.Second
	fmt.Println("ready")
	for {
		round++
		login("bob", secret(13), round)
		time.Sleep(20 * time.Millisecond)
		use(f, tokens, header, userinfo, pairs, environ, arguments, database, pem, otp, longLine, loginError, contextual, amazon)
		use(apiToken, privateKey, config, settings, boxed, plain, runes, form)
		if round > 30_000 {
			return
		}
	}
}
