// What a client in Java looks like; it is compiled against the generated code.
import com.chatkit.messages.v1.MessagesServiceGrpc;
import com.chatkit.messages.v1.Part;
import com.chatkit.messages.v1.SendMessageRequest;
import com.chatkit.users.v1.GetUserRequest;
import com.chatkit.users.v1.UsersServiceGrpc;
import io.grpc.Channel;

final class Client {
  private Client() {}

  static long greet(Channel channel) {
    GetUserRequest bob = GetUserRequest.newBuilder().setUserId("bob").build();
    String name = UsersServiceGrpc.newBlockingStub(channel).getUser(bob).getUser().getName();
    Part text = Part.newBuilder().setContentType("text/plain").setContent("hello " + name).build();
    SendMessageRequest request =
        SendMessageRequest.newBuilder().setRoomId("lobby").setRequestId("1").addParts(text).build();
    return MessagesServiceGrpc.newBlockingStub(channel).sendMessage(request).getMessage().getSeq();
  }
}
