// Says Hello in the room lobby, and prints the text of each message: the last 20, then each one that comes.
import com.chatkit.messages.v1.*;
import io.grpc.*;
import io.grpc.stub.MetadataUtils;
import java.util.UUID;

final class Lobby {
  public static void main(String[] arguments) throws InterruptedException {
    Channel channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + arguments[1]);
    var messages =
        MessagesServiceGrpc.newBlockingStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
    Part text = Part.newBuilder().setContentType("text/plain").setContent("Hello").build();
    String id = UUID.randomUUID().toString();
    messages.sendMessage(
        SendMessageRequest.newBuilder().setRoomId("lobby").setRequestId(id).addParts(text).build());
    var request = SubscribeRoomRequest.newBuilder().setRoomId("lobby");
    String epoch = "";
    while (true) {
      try {
        var answers = messages.subscribeRoom(request.build());
        while (answers.hasNext()) {
          for (RoomEvent event : answers.next().getEventsList()) {
            if (event.hasOpened()) epoch = event.getOpened().getPosition().getEpoch();
            if (event.hasMessageCreated()) {
              System.out.println(event.getMessageCreated().getParts(0).getContent());
            }
            // Where the next stream goes on.
            if (event.getSeq() > 0) {
              request.setAfter(Position.newBuilder().setEpoch(epoch).setSeq(event.getSeq()));
            }
          }
        }
      } catch (StatusRuntimeException ended) {
        if (ended.getStatus().getCode() != Status.Code.UNAVAILABLE) throw ended;
        Thread.sleep(1_000);
      }
    }
  }
}
