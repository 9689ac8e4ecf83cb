// Gives each user who is signed in to an application a token for the suite, for 15 minutes: POST /chat-token.
//
// It is reached at the application's own address, through a reverse proxy, so that the application's cookie comes along.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

var (
	instance = os.Getenv("CHATKIT_INSTANCE")
	file     struct{ Keys []struct{ ID, Secret string } }
	sessions map[string]string
)

// userOf returns the id of the user who is signed in, or none: here goes the application's own check of its cookie.
func userOf(request *http.Request) string {
	cookie, err := request.Cookie("session")
	if err != nil {
		return ""
	}
	return sessions[cookie.Value]
}

// token returns a JWT that says who calls, and nothing else.
func token(userID string) string {
	key, now := file.Keys[0], time.Now().Unix()
	claims := map[string]any{"instance": instance, "iss": "api_keys/" + key.ID, "sub": userID, "iat": now, "exp": now + 15*60}
	signed := encoded(map[string]any{"alg": "HS256", "typ": "JWT"}) + "." + encoded(claims)
	signature := hmac.New(sha256.New, []byte(key.Secret))
	signature.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature.Sum(nil))
}

func encoded(part map[string]any) string {
	text, _ := json.Marshal(part)
	return base64.RawURLEncoding.EncodeToString(text)
}

func answer(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("cache-control", "no-store")
	userID := userOf(request)
	if request.Method != http.MethodPost {
		response.WriteHeader(http.StatusNotFound)
	} else if userID == "" {
		response.WriteHeader(http.StatusUnauthorized)
	} else {
		fmt.Fprint(response, token(userID))
	}
}

func main() {
	content, err := os.ReadFile(os.Getenv("CHATKIT_KEYS_FILE"))
	if err != nil || json.Unmarshal(content, &file) != nil || len(file.Keys) == 0 || instance == "" {
		log.Fatal("CHATKIT_INSTANCE and CHATKIT_KEYS_FILE, with a key, are needed")
	}
	json.Unmarshal([]byte(os.Getenv("SESSIONS")), &sessions)
	http.HandleFunc("/chat-token", answer)
	server := &http.Server{Addr: "127.0.0.1:" + os.Args[1], ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
