// Says Hello in the room lobby, and prints the text of each message: the last 20, then each one that comes.
import com.chatkit.messages.v1.*
import io.grpc.*
import java.util.UUID
import kotlinx.coroutines.*

fun main(arguments: Array<String>) = runBlocking {
    val channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build()
    val headers = Metadata()
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer ${arguments[1]}")
    val messages = MessagesServiceGrpcKt.MessagesServiceCoroutineStub(channel)
    val hello = sendMessageRequest {
        roomId = "lobby"
        requestId = UUID.randomUUID().toString()
        parts += part { contentType = "text/plain"; content = "Hello" }
    }
    messages.sendMessage(hello, headers)
    var request = subscribeRoomRequest { roomId = "lobby" }
    var opened = Opened.getDefaultInstance()
    while (true) {
        try {
            messages.subscribeRoom(request, headers).collect { answer ->
                for (event in answer.eventsList) {
                    if (event.hasOpened()) opened = event.opened
                    if (event.hasMessageCreated()) println(event.messageCreated.partsList[0].content)
                    // Where the next stream goes on.
                    if (event.seq > 0) request = request.copy { after = opened.position.copy { seq = event.seq } }
                }
            }
        } catch (ended: StatusException) {
            if (ended.status.code != Status.Code.UNAVAILABLE) throw ended
            delay(1_000)
        }
    }
}
