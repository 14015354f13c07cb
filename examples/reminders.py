"""A topic of one's own: reminders. Named in appsettings.json as {"Name": "reminders", "Handler": "examples.reminders"}."""

from consumers import Dead, Message, handler


@handler("reminders")
def remind(message: Message) -> None:
    reminder = message.json()
    if "to" not in reminder:
        raise Dead("a reminder needs somebody to remind")  # another attempt would not help
    print(f"{reminder['to']}: {reminder['text']} (attempt {message.attempt}, message {message.id})", flush=True)
