"""The session actor: a conversation, its agent and its task resources, in one mailbox."""
