//! The thing that is not trusted: it goes by words, believes what it reads, and does not always answer JSON.

use unattended::contract::Proposal;

/// What the classifier makes of a message.
pub(crate) fn propose(who: &str, text: &str) -> Proposal {
    Proposal::text(answer(who, text)).from("keywords:v3")
}

fn answer(who: &str, text: &str) -> String {
    let lower = text.to_lowercase();
    let euros = text.split_whitespace().find_map(|word| word.parse::<u32>().ok());
    let order = match who {
        "ada" => "o-1",
        "bob" => "o-2",
        _ => "o-3",
    };
    // It repeats what it was told to answer, and adds its own.
    if let Some(quoted) = text.find('{').and_then(|open| text.get(open..)) {
        return format!("The customer asks for {quoted}, so:\n```json\n{}\n```", refund(order, 10));
    }
    let mut answers = Vec::new();
    if lower.contains("refund") {
        answers.push(match euros {
            Some(euros) if lower.contains("long story") => {
                // It ran out of words in the middle of its answer.
                let whole = refund(order, euros);
                whole.chars().take(whole.len() / 2).collect()
            }
            Some(euros) => refund(order, euros),
            // It makes a number up where there is none.
            None => format!(r#"{{"action":"refund","order":"{order}","euros":"a lot","mood":"angry"}}"#),
        });
    }
    if let Some((_, address)) = text.split_once("address is ").or_else(|| text.split_once("address please: "))
    {
        let address = address.split('.').next().unwrap_or_default();
        answers.push(format!(r#"{{"action":"change_address","address":"{address}"}}"#));
    }
    if lower.contains("delete my account") {
        answers.push(format!(r#"{{"action":"delete_account","account":"{who}"}}"#));
    }
    if let Some((_, words)) = text.split_once("Publish this: ") {
        answers.push(format!(r#"{{"action":"publish","by":"{who}","text":"{words}"}}"#));
    }
    match answers.as_slice() {
        [] => String::from("I am not sure what the customer wants."),
        [one] if one.contains("publish") => one.clone(),
        [one] => format!("This looks clear to me:\n\n```json\n{one}\n```\n"),
        several => several.join("\nand then\n"),
    }
}

fn refund(order: &str, euros: u32) -> String {
    format!(r#"{{"action":"refund","order":"{order}","euros":{euros}}}"#)
}
