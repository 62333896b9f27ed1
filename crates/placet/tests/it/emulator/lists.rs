//! Lists over HTTP: filters, sorts, pages, counts.

use serde_json::{Value, json};

use super::{Tool, emulator};

/// Twelve that wait to be started, one a call, so that each is newer than the one before.
async fn twelve(tool: &Tool) {
    for number in 1..=12 {
        let name = ["Ship", "bill", "Shop"][number % 3];
        let (kind, team) = ([("Order", "Red"), ("invoice", "blue")])[number % 2];
        let start = json!({
            "name": name, "instanceId": format!("{kind}-{number:02}"),
            "version": format!("{}.0", number % 2), "tags": {"team": team},
        });
        assert_eq!(tool.post(super::ORCHESTRATIONS, &start).await.status, 201);
    }
}

fn numbers(ids: &[String]) -> Vec<u32> {
    ids.iter().map(|id| id.rsplit('-').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn a_list_has_what_its_filter_holds_for_in_the_order_that_is_asked_for() {
    let server = emulator().await;
    let tool = Tool::of(&server);
    twelve(&tool).await;
    let sort = |column: &str, direction: &str| json!([{"column": column, "direction": direction}]);
    let table: [(Value, &[u32]); 12] = [
        (json!({}), &[12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (json!({"sort": sort("CREATED_AT", "ASCENDING_SORT")}), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        (json!({"sort": sort("ORCHESTRATION_ID", "ASCENDING_SORT")}), &[2, 4, 6, 8, 10, 12, 1, 3, 5, 7, 9, 11]),
        (json!({"sort": sort("NAME", "DESCENDING_SORT")}), &[10, 7, 4, 1, 11, 8, 5, 2, 12, 9, 6, 3]),
        (json!({"filter": {"orchestrationId": {"value": "ORDER-0"}}}), &[8, 6, 4, 2]),
        (json!({"filter": {"orchestrationIdStartsWith": {"value": "Order-1"}}}), &[12, 10]),
        (json!({"filter": {"name": {"value": "sh"}, "version": {"value": "1."}}}), &[11, 9, 5, 3]),
        (json!({"filter": {"tags": {"value": "team=RED"}, "name": {"value": "BILL"}}}), &[10, 4]),
        (json!({"filter": {"orchestrationStatus": {"status": ["ORCHESTRATION_STATUS_FAILED"]}}}), &[]),
        (
            json!({"filter": {"orchestrationStatus": {"status": ["ORCHESTRATION_STATUS_PENDING"]}}, "pagination": {"count": 2}}),
            &[12, 11],
        ),
        (json!({"filter": {"completedAt": {"start": "2000-01-01T00:00:00Z"}}}), &[]),
        (json!({"filter": {"createdAt": {"end": "2000-01-01T00:00:00Z"}}}), &[]),
    ];
    for (asked, expected) in table {
        assert_eq!(numbers(&tool.ids(&asked).await), expected, "{asked}");
    }
}

#[tokio::test]
async fn a_time_range_has_its_start_and_not_its_end() {
    let server = emulator().await;
    let tool = Tool::of(&server);
    twelve(&tool).await;
    let all = tool.query(&json!({"sort": [{"column": "CREATED_AT"}]})).await;
    let created = |number: usize| all["orchestrations"][number - 1]["createdTimestamp"].clone();
    for name in ["createdAt", "lastUpdatedAt"] {
        let asked = json!({"filter": {name: {"start": created(3), "end": created(6)}}});
        let list = tool.query(&asked).await;
        assert_eq!((numbers(&super::ids_of(&list)), &list["totalCount"]), (vec![5, 4, 3], &json!(3)), "{name}");
    }
}

#[tokio::test]
async fn pages_from_any_place_on_hold_each_orchestration_once_and_the_count_is_that_of_all() {
    let server = emulator().await;
    let tool = Tool::of(&server);
    twelve(&tool).await;
    let sorts = [json!([]), json!([{"column": "LAST_UPDATED_AT", "direction": "DESCENDING_SORT"}])];
    for (sort, count) in sorts.iter().flat_map(|sort| [1, 5, 12, 50].map(|count| (sort, count))) {
        let mut found = Vec::new();
        for start in (0..15).step_by(count) {
            let asked = json!({"pagination": {"startIndex": start, "count": count}, "sort": sort});
            let list = tool.query(&asked).await;
            assert_eq!((&list["totalCount"], &list["trivia"]["pendingCount"]), (&json!(12), &json!(12)));
            assert!(list.get("isPartial").is_none() && list.get("totalCountIsLowerBound").is_none(), "{list}");
            found.extend(super::ids_of(&list));
        }
        assert_eq!(numbers(&found), (1..=12).rev().collect::<Vec<_>>(), "{sort} by {count}");
    }
}
