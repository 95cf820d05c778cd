//! `rpk group`.

use crate::cli::failure::Failure;
use crate::cli::kafka::consumer_groups::rows;
use crate::cli::kafka::groups;
use crate::cli::screen::Screen;
use crate::cli::table::Table;
use crate::client::offsets::EARLIEST;
use crate::client::{Client, To};

pub(super) async fn list(screen: &mut Screen, client: &mut Client) -> Result<(), Failure> {
    let types = ["Classic".to_owned(), "Consumer".to_owned()];
    let mut table = Table::new(&["BROKER", "GROUP", "STATE"]);
    for group in groups::list(client, &[], &types).await? {
        let broker = coordinator(client, &group.id).await?;
        table.row(&[&broker, &group.id, &group.state]);
    }
    Ok(screen.put(table.text().as_bytes())?)
}

pub(super) async fn describe(
    screen: &mut Screen,
    client: &mut Client,
    names: &[&str],
) -> Result<(), Failure> {
    for (index, name) in names.iter().enumerate() {
        let group = groups::describe(client, name).await?;
        let rows = rows(client, name, &group).await?;
        let starts: Vec<_> = rows.iter().map(|row| (row.tp.clone(), EARLIEST)).collect();
        let starts =
            if starts.is_empty() { Default::default() } else { client.list_offsets(&starts, false).await? };
        let lag: i64 = rows.iter().filter_map(|row| row.lag()).sum();
        let mut head = Table::plain();
        head.row(&["GROUP", name]);
        head.row(&["COORDINATOR", &coordinator(client, name).await?]);
        head.row(&["STATE", &group.state]);
        head.row(&["BALANCER", &group.assignor]);
        head.row(&["MEMBERS", &group.members.len().to_string()]);
        head.row(&["TOTAL-LAG", &lag.to_string()]);
        let between = if index > 0 { "\n" } else { "" };
        screen.put(format!("{between}{}", head.text()).as_bytes())?;
        if rows.is_empty() {
            continue;
        }
        let mut table = Table::new(&[
            "TOPIC",
            "PARTITION",
            "CURRENT-OFFSET",
            "LOG-START-OFFSET",
            "LOG-END-OFFSET",
            "LAG",
            "MEMBER-ID",
            "CLIENT-ID",
            "HOST",
        ]);
        for row in &rows {
            let number =
                |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let start = starts.get(&row.tp).and_then(|start| start.as_ref().ok()).map(|start| start.offset);
            let (member, host, client_id) = row.reader.clone().unwrap_or_default();
            table.row(&[
                &row.tp.topic,
                &row.tp.partition.to_string(),
                &number(row.committed.map(|(offset, _)| offset)),
                &number(start),
                &number(row.end),
                &number(row.lag()),
                &member,
                &client_id,
                host.trim_start_matches('/'),
            ]);
        }
        screen.put(format!("\n{}", table.text()).as_bytes())?;
    }
    Ok(())
}

async fn coordinator(client: &mut Client, group: &str) -> Result<String, Failure> {
    let at = client.connection(To::Group(group)).await?.address().to_owned();
    let node = client.nodes().values().find(|node| format!("{}:{}", node.host, node.port) == at);
    Ok(node.map_or_else(|| "-".to_owned(), |node| node.id.to_string()))
}
