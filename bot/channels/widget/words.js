// The widget's own few words. Everything else that it says is the desk's.

const WORDS = {
  en: {
    open: "Open the chat", unread: "Open the chat: new messages", close: "Close the chat", chat: "Chat with {name}",
    conversation: "Conversation", message: "Your message", write: "Write a message…", send: "Send",
    human: "Ask for a colleague", restart: "New conversation", you: "You", writing: "{name} is writing…",
    waiting: "No answer yet. Trying again…", refused: "Not sent.", again: "Try again",
    good: "Helpful", bad: "Not helpful", thanks: "Thank you.", trouble: "That did not work. Please try again.",
    expired: "Your login has ended. Please load this page again.", tab: "opens a new tab",
    article: "Help page", tool: "Looked up just now", answer: "Approved answer",
    fact: "You told me on {day}", turn: "Our chat of {day}",
  },
  de: {
    open: "Chat öffnen", unread: "Chat öffnen: neue Nachrichten", close: "Chat schließen", chat: "Chat mit {name}",
    conversation: "Gespräch", message: "Ihre Nachricht", write: "Nachricht schreiben …", send: "Senden",
    human: "Mit einem Menschen sprechen", restart: "Neues Gespräch", you: "Sie", writing: "{name} schreibt …",
    waiting: "Noch keine Antwort. Neuer Versuch …", refused: "Nicht gesendet.", again: "Noch einmal versuchen",
    good: "Hilfreich", bad: "Nicht hilfreich", thanks: "Danke.", trouble: "Das hat nicht geklappt. Bitte noch einmal.",
    expired: "Ihre Anmeldung ist abgelaufen. Bitte laden Sie die Seite neu.", tab: "öffnet einen neuen Tab",
    article: "Hilfeseite", tool: "Gerade nachgesehen", answer: "Geprüfte Antwort",
    fact: "Von Ihnen am {day}", turn: "Unser Chat vom {day}",
  },
  fr: {
    open: "Ouvrir le chat", unread: "Ouvrir le chat : nouveaux messages", close: "Fermer le chat",
    chat: "Chat avec {name}", conversation: "Conversation", message: "Votre message", write: "Écrivez un message…",
    send: "Envoyer", human: "Parler à une personne", restart: "Nouvelle conversation", you: "Vous",
    writing: "{name} écrit…", waiting: "Pas encore de réponse. Nouvel essai…", refused: "Non envoyé.", again: "Réessayer",
    good: "Utile", bad: "Pas utile", thanks: "Merci.", trouble: "Cela n’a pas marché. Veuillez réessayer.",
    expired: "Votre session a expiré. Veuillez recharger la page.", tab: "ouvre un nouvel onglet",
    article: "Page d’aide", tool: "Vérifié à l’instant", answer: "Réponse approuvée",
    fact: "Vous me l’avez dit le {day}", turn: "Notre chat du {day}",
  },
  es: {
    open: "Abrir el chat", unread: "Abrir el chat: mensajes nuevos", close: "Cerrar el chat", chat: "Chat con {name}",
    conversation: "Conversación", message: "Su mensaje", write: "Escriba un mensaje…", send: "Enviar",
    human: "Hablar con una persona", restart: "Nueva conversación", you: "Usted", writing: "{name} está escribiendo…",
    waiting: "Aún sin respuesta. Nuevo intento…", refused: "No enviado.", again: "Intentar de nuevo",
    good: "Útil", bad: "No útil", thanks: "Gracias.", trouble: "No ha funcionado. Inténtelo de nuevo.",
    expired: "Su sesión ha caducado. Vuelva a cargar la página.", tab: "abre una pestaña nueva",
    article: "Página de ayuda", tool: "Consultado ahora mismo", answer: "Respuesta aprobada",
    fact: "Me lo dijo el {day}", turn: "Nuestro chat del {day}",
  },
  it: {
    open: "Apri la chat", unread: "Apri la chat: nuovi messaggi", close: "Chiudi la chat", chat: "Chat con {name}",
    conversation: "Conversazione", message: "Il suo messaggio", write: "Scriva un messaggio…", send: "Invia",
    human: "Parlare con una persona", restart: "Nuova conversazione", you: "Lei", writing: "{name} sta scrivendo…",
    waiting: "Ancora nessuna risposta. Nuovo tentativo…", refused: "Non inviato.", again: "Riprova",
    good: "Utile", bad: "Non utile", thanks: "Grazie.", trouble: "Non ha funzionato. Riprovi.",
    expired: "La sessione è scaduta. Ricarichi la pagina.", tab: "apre una nuova scheda",
    article: "Pagina di aiuto", tool: "Appena controllato", answer: "Risposta approvata",
    fact: "Me l’ha detto il {day}", turn: "La nostra chat del {day}",
  },
  nl: {
    open: "Chat openen", unread: "Chat openen: nieuwe berichten", close: "Chat sluiten", chat: "Chat met {name}",
    conversation: "Gesprek", message: "Uw bericht", write: "Schrijf een bericht…", send: "Versturen",
    human: "Een medewerker spreken", restart: "Nieuw gesprek", you: "U", writing: "{name} is aan het typen…",
    waiting: "Nog geen antwoord. Nieuwe poging…", refused: "Niet verstuurd.", again: "Opnieuw proberen",
    good: "Nuttig", bad: "Niet nuttig", thanks: "Dank u.", trouble: "Dat is niet gelukt. Probeer het opnieuw.",
    expired: "Uw sessie is verlopen. Laad de pagina opnieuw.", tab: "opent een nieuw tabblad",
    article: "Helppagina", tool: "Zojuist opgezocht", answer: "Goedgekeurd antwoord",
    fact: "U vertelde dit op {day}", turn: "Onze chat van {day}",
  },
  pt: {
    open: "Abrir o chat", unread: "Abrir o chat: novas mensagens", close: "Fechar o chat", chat: "Chat com {name}",
    conversation: "Conversa", message: "A sua mensagem", write: "Escreva uma mensagem…", send: "Enviar",
    human: "Falar com uma pessoa", restart: "Nova conversa", you: "Você", writing: "{name} está a escrever…",
    waiting: "Ainda sem resposta. Nova tentativa…", refused: "Não enviada.", again: "Tentar de novo",
    good: "Útil", bad: "Não útil", thanks: "Obrigado.", trouble: "Não funcionou. Tente de novo.",
    expired: "A sua sessão expirou. Carregue a página de novo.", tab: "abre um novo separador",
    article: "Página de ajuda", tool: "Consultado agora mesmo", answer: "Resposta aprovada",
    fact: "Disse-me em {day}", turn: "A nossa conversa de {day}",
  },
};

/** Return the words in the desk's language, English where the widget does not know it. */
const wordsIn = (language) => WORDS[language.toLowerCase().split(/[-_]/)[0]] ?? WORDS.en;

/** Return a language as browsers name it, their own where the desk's is none. */
const languageTag = (language) => {
  try {
    return new Intl.Locale(language.replaceAll("_", "-")).toString();
  } catch {
    return navigator.language;
  }
};

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
