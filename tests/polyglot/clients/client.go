// What a client in Go looks like; it is compiled against the generated code.
package main

import (
	"context"
	"fmt"

	messagesv1 "chatkit.example/gen/chatkit/messages/v1"
	usersv1 "chatkit.example/gen/chatkit/users/v1"
	"google.golang.org/grpc"
)

func greet(ctx context.Context, connection *grpc.ClientConn) error {
	user, err := usersv1.NewUsersServiceClient(connection).GetUser(ctx, &usersv1.GetUserRequest{UserId: "bob"})
	if err != nil {
		return err
	}
	text := &messagesv1.Part{ContentType: "text/plain", Value: &messagesv1.Part_Content{Content: "hello"}}
	request := &messagesv1.SendMessageRequest{RoomId: "lobby", RequestId: "1", Parts: []*messagesv1.Part{text}}
	sent, err := messagesv1.NewMessagesServiceClient(connection).SendMessage(ctx, request)
	fmt.Println(user.GetUser().GetName(), sent.GetMessage().GetSeq())
	return err
}

func main() {
	_ = greet
}
